#define TILE_NAMESPACE tile_float32_avx512
#define TILE_NAME "AVX-512"
#define TILE_VALUES "microkernels/simd/values_float32.h"
#define TILE_LANES 16
#define TILE_VECTORS 2
#define TILE_GRANULE 8
#define TILE_GROUP 7
#define TILE_PIXELS 14
#include "microkernels/igemm_nhwc/igemm_simd.h"
