#define MICROKERNEL_NAMESPACE baseline
#define MICROKERNEL_NAME "baseline"
#define MICROKERNEL_LANES 4
#if defined(__aarch64__)  // 32 vector registers; elsewhere 16
#define MICROKERNEL_ROWS 8
#define MICROKERNEL_VECTORS 3
#else
#define MICROKERNEL_ROWS 4
#define MICROKERNEL_VECTORS 2
#endif
#include "microkernels/gemm_nchw/gemm_simd.h"
