# MR        pixels of a tile at most, in one or two groups
# MR_GROUP  pixels of a group at most, all in one row of the frame
# NR        output channels of a panel
# NR_STEP   output channels are computed in multiples of this: a vector or half of one
# KR        values of K in a group of 4 bytes
# K_BLOCK   K groups that are multiplied at once where they follow each other in memory
#
# Of every data type the best comes first.
adafuse_microkernel(
  adafuse_kernels igemm_nhwc
  COLUMNS MR MR_GROUP NR NR_STEP KR K_BLOCK
  ROWS
  # type    | set          | header       | MR | MR_GROUP | NR | NR_STEP | KR | K_BLOCK
  "float32  | avx512       | igemm_simd.h | 14 |  7       | 32 |  8      | 1  |  1"
  "float32  | avx2         | igemm_simd.h |  6 |  6       | 16 |  8      | 1  |  1"
  "float32  | neon         | igemm_simd.h | 14 |  7       |  8 |  4      | 1  |  1"
  "float32  | baseline     | igemm_simd.h |  6 |  6       |  8 |  4      | 1  |  1"
  "bfloat16 | amx_bf16     | igemm_amx.h  | 32 | 16       | 32 | 16      | 2  | 16"
  "bfloat16 | avx512_bf16  | igemm_simd.h | 14 |  7       | 32 |  8      | 2  |  1"
  "bfloat16 | avx2         | igemm_simd.h |  6 |  6       | 16 |  8      | 2  |  1"
  "bfloat16 | neon         | igemm_simd.h | 14 |  7       |  8 |  4      | 2  |  1"
  "bfloat16 | baseline     | igemm_simd.h |  6 |  6       |  8 |  4      | 2  |  1"
  "int8     | amx_int8     | igemm_amx.h  | 32 | 16       | 32 | 16      | 4  | 16"
  "int8     | avx512_vnni  | igemm_simd.h | 14 |  7       | 32 |  8      | 4  |  1"
  "int8     | avx_vnni     | igemm_simd.h |  6 |  6       | 16 |  8      | 4  |  1"
  "int8     | avx2         | igemm_simd.h |  6 |  6       | 16 |  8      | 4  |  1"
  "int8     | neon_dotprod | igemm_simd.h | 12 |  6       |  8 |  4      | 4  |  1"
  "int8     | neon         | igemm_simd.h | 14 |  7       |  8 |  4      | 4  |  1"
  "int8     | baseline     | igemm_simd.h |  6 |  6       |  8 |  4      | 4  |  1")
