# The instruction sets that micro-kernels are compiled for, the best of a processor first.
#
# Lanes are values of 32 bits in a vector.  Processors: x86_64, arm64_linux or any.  What a set needs
# at run time is written in processor.cpp; `baseline` needs nothing beyond what the library itself is
# compiled for.
set(ADAFUSE_INSTRUCTION_SETS
    # name         | shown as          | processors  | lanes | compiler flags
    "amx_bf16      | AMX BF16          | x86_64      | 16 | -mavx512f -mavx512bw -mavx512vl -mavx512bf16 -mavx512vnni -mfma -mamx-tile -mamx-bf16 -mamx-int8"
    "amx_int8      | AMX INT8          | x86_64      | 16 | -mavx512f -mavx512bw -mavx512vl -mavx512bf16 -mavx512vnni -mfma -mamx-tile -mamx-bf16 -mamx-int8"
    "avx512_bf16   | AVX-512 BF16      | x86_64      | 16 | -mavx512f -mavx512bw -mavx512vl -mavx512bf16 -mfma"
    "avx512_vnni   | AVX-512 VNNI      | x86_64      | 16 | -mavx512f -mavx512bw -mavx512vl -mavx512vnni -mfma"
    "avx512        | AVX-512           | x86_64      | 16 | -mavx512f -mfma"
    "avx_vnni      | AVX-VNNI          | x86_64      |  8 | -mavx2 -mfma -mavxvnni"
    "avx2          | AVX2              | x86_64      |  8 | -mavx2 -mfma"
    "neon_dotprod  | NEON dot product  | arm64_linux |  4 | -march=armv8.2-a+dotprod"
    "neon          | NEON              | arm64_linux |  4 | "
    "baseline      | baseline          | any         |  4 | ")
