#define TILE_NAMESPACE tile_int8_avxvnni
#define TILE_NAME "AVX-VNNI"
#define TILE_VALUES "microkernels/simd/values_int8.h"
#define TILE_LANES 8
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 6
#define TILE_PIXELS 6
#include "microkernels/igemm_nhwc/igemm_simd.h"
