#include "microkernels/gemm_nchw/gemm.h"

#include "microkernels/variants.h"

namespace adafuse {

#define VARIANT(name, type)        \
  namespace name {                 \
  extern const MicroKernel kernel; \
  }
#include "gemm_nchw_variants.inc"
#undef VARIANT

const std::vector<const MicroKernel*>& microkernels() {
  static const std::vector<const MicroKernel*> kernels = usable<MicroKernel>({
#define VARIANT(name, type) &name::kernel,
#include "gemm_nchw_variants.inc"
#undef VARIANT
  });
  return kernels;
}

}  // namespace adafuse
