#define WINOGRAD_NAMESPACE winograd_avx512
#define WINOGRAD_NAME "AVX-512"
#define WINOGRAD_LANES 16
#include "microkernels/winograd/transforms_simd.h"
