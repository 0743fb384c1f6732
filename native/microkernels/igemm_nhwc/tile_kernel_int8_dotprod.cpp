#define TILE_NAMESPACE tile_int8_dotprod
#define TILE_NAME "NEON dot product"
#define TILE_VALUES "microkernels/simd/values_int8.h"
#define TILE_LANES 4
#define TILE_VECTORS 2
#define TILE_GRANULE 4
#define TILE_GROUP 6
#define TILE_PIXELS 12
#include "microkernels/igemm_nhwc/igemm_simd.h"
