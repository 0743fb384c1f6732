#define MICROKERNEL_NAMESPACE avx512
#define MICROKERNEL_NAME "AVX-512"
#define MICROKERNEL_LANES 16
#define MICROKERNEL_ROWS 8
#define MICROKERNEL_VECTORS 3
#include "microkernels/gemm_nchw/gemm_simd.h"
