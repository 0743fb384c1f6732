#define ROWS_NAMESPACE row_products_baseline
#define ROWS_NAME "baseline"
#define ROWS_LANES 4
#include "kernels/row_products_impl.h"
