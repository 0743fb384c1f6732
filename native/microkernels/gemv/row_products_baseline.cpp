#define ROWS_NAMESPACE row_products_baseline
#define ROWS_NAME "baseline"
#define ROWS_LANES 4
#define ROWS_INPUTS 2
#include "microkernels/gemv/gemv_simd.h"
