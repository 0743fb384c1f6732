# MR  output channels of a tile at most
# NR  pixels of a tile at most, whole vectors
adafuse_microkernel(
  adafuse_kernels gemm_nchw
  COLUMNS MR NR
  ROWS
  # type   | set      | header      | MR | NR
  "float32 | avx512   | gemm_simd.h | 8  | 48"
  "float32 | avx2     | gemm_simd.h | 6  | 16"
  "float32 | neon     | gemm_simd.h | 8  | 12"
  "float32 | baseline | gemm_simd.h | 4  |  8")
