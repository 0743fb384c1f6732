#define ROWS_NAMESPACE row_products_avx512
#define ROWS_NAME "AVX-512"
#define ROWS_LANES 16
#define ROWS_INPUTS 4
#include "microkernels/gemv/gemv_simd.h"
