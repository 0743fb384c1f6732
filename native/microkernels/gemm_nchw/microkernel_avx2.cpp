#define MICROKERNEL_NAMESPACE avx2
#define MICROKERNEL_NAME "AVX2"
#define MICROKERNEL_LANES 8
#define MICROKERNEL_ROWS 6
#define MICROKERNEL_VECTORS 2
#include "microkernels/gemm_nchw/gemm_simd.h"
