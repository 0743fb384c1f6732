#include "microkernels/gemm_nchw/gemm.h"

#include "microkernels/variants.h"

namespace adafuse {

#define VARIANT(name, type)       \
  namespace name {                \
  extern const GemmKernel kernel; \
  }
#include "gemm_nchw_variants.inc"
#undef VARIANT

const std::vector<const GemmKernel*>& gemm_kernels() {
  static const std::vector<const GemmKernel*> kernels = usable<GemmKernel>({
#define VARIANT(name, type) &name::kernel,
#include "gemm_nchw_variants.inc"
#undef VARIANT
  });
  return kernels;
}

}  // namespace adafuse
