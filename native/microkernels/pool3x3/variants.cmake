# CHANNELS_STEP  channels are pooled in multiples of this: a vector
#
# A kernel of igemm_nhwc with a better instruction set than these works beside the first of its type.
adafuse_microkernel(
  adafuse_kernels pool3x3
  COLUMNS CHANNELS_STEP
  ROWS
  # type    | set         | header         | CHANNELS_STEP
  "float32  | avx512      | pool3x3_simd.h | 16"
  "float32  | avx2        | pool3x3_simd.h |  8"
  "float32  | baseline    | pool3x3_simd.h |  4"
  "bfloat16 | avx512_bf16 | pool3x3_simd.h | 16"
  "bfloat16 | avx2        | pool3x3_simd.h |  8"
  "bfloat16 | baseline    | pool3x3_simd.h |  4"
  "int8     | avx512_vnni | pool3x3_simd.h | 16"
  "int8     | avx2        | pool3x3_simd.h |  8"
  "int8     | baseline    | pool3x3_simd.h |  4")
