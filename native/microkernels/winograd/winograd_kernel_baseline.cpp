#define WINOGRAD_NAMESPACE winograd_baseline
#define WINOGRAD_NAME "baseline"
#define WINOGRAD_LANES 4
#include "microkernels/winograd/transforms_simd.h"
