#define WINOGRAD_NAMESPACE winograd_avx2
#define WINOGRAD_NAME "AVX2"
#define WINOGRAD_LANES 8
#include "microkernels/winograd/transforms_simd.h"
