#define TILE_NAMESPACE tile_int8_amx
#define TILE_NAME "AMX INT8"
#define TILE_VALUES "microkernels/simd/values_int8.h"
#define TILE_LANES 16
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 16
#define TILE_PIXELS 32
#include "microkernels/igemm_nhwc/igemm_amx.h"
