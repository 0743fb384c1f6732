#include "microkernels/gemm_nchw/gemm.h"

#include "base/processor.h"

namespace adafuse {

#if defined(__x86_64__)
namespace avx512 {
extern const MicroKernel kernel;
}
namespace avx2 {
extern const MicroKernel kernel;
}
#endif
namespace baseline {
extern const MicroKernel kernel;
}

const std::vector<const MicroKernel*>& microkernels() {
  static const std::vector<const MicroKernel*> usable = [] {
    std::vector<const MicroKernel*> kernels;
#if defined(__x86_64__)
    if (avx512_allowed() && __builtin_cpu_supports("avx512f")) {
      kernels.push_back(&avx512::kernel);
    }
    if (avx2_allowed() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      kernels.push_back(&avx2::kernel);
    }
#endif
    kernels.push_back(&baseline::kernel);
    return kernels;
  }();
  return usable;
}

}  // namespace adafuse
