#define TILE_NAMESPACE tile_int8_amx
#define TILE_NAME "AMX INT8"
#define TILE_VALUES "kernels/tile_values_int8.h"
#define TILE_LANES 16
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 16
#define TILE_PIXELS 32
#include "kernels/tile_kernel_amx_impl.h"
