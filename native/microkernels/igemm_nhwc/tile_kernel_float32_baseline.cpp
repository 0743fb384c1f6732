#define TILE_NAMESPACE tile_float32_baseline
#define TILE_NAME "baseline"
#define TILE_VALUES "microkernels/simd/values_float32.h"
#define TILE_LANES 4
#define TILE_VECTORS 2
#define TILE_GRANULE 4
#if defined(__aarch64__)  // 32 vector registers; elsewhere 16
#define TILE_GROUP 7
#define TILE_PIXELS 14
#else
#define TILE_GROUP 6
#define TILE_PIXELS 6
#endif
#include "microkernels/igemm_nhwc/igemm_simd.h"
