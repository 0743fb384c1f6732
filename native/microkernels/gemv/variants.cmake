# MR      rows of weights that are read side by side
# INPUTS  input vectors that share rows of weights once these are read
#
# The type is that of the weights.
adafuse_microkernel(
  adafuse_kernels gemv
  COLUMNS MR INPUTS
  ROWS
  # type    | set      | header      | MR   | INPUTS
  "float32  | avx512   | gemv_simd.h | 4    | 4"
  "float32  | avx2     | gemv_simd.h | 4    | 2"
  "float32  | baseline | gemv_simd.h | 4    | 2"
  "bfloat16 | avx512   | gemv_simd.h | 4    | 4"
  "bfloat16 | avx2     | gemv_simd.h | 4    | 2"
  "bfloat16 | baseline | gemv_simd.h | 4    | 2")
