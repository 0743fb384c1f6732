#define TILE_NAMESPACE tile_bfloat16_amx
#define TILE_NAME "AMX BF16"
#define TILE_VALUES "microkernels/simd/values_bfloat16.h"
#define TILE_LANES 16
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 16
#define TILE_PIXELS 32
#include "microkernels/igemm_nhwc/igemm_amx.h"
