#define TILE_NAMESPACE tile_float32_avx2
#define TILE_NAME "AVX2"
#define TILE_VALUES "microkernels/simd/values_float32.h"
#define TILE_LANES 8
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 6
#define TILE_PIXELS 6
#include "microkernels/igemm_nhwc/igemm_simd.h"
