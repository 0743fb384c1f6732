#define ROWS_NAMESPACE row_products_avx2
#define ROWS_NAME "AVX2"
#define ROWS_LANES 8
#define ROWS_INPUTS 2
#include "microkernels/gemv/gemv_simd.h"
