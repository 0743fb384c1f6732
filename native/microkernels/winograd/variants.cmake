# TILE    pixels of an input tile's side
# OUTPUT  pixels of an output tile's side, and from one tile to the next
adafuse_microkernel(
  adafuse_kernels winograd
  COLUMNS TILE OUTPUT
  ROWS
  # type   | set      | header            | TILE | OUTPUT
  "float32 | avx512   | transforms_simd.h | 6    | 4"
  "float32 | avx2     | transforms_simd.h | 6    | 4"
  "float32 | baseline | transforms_simd.h | 6    | 4")
