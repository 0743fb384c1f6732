#include "microkernels/igemm_nhwc/igemm.h"

#include <array>

#include "microkernels/variants.h"

namespace adafuse {

#define VARIANT(name, type)        \
  namespace name {                 \
  extern const IgemmKernel kernel; \
  }
#include "igemm_nhwc_variants.inc"
#undef VARIANT

const std::vector<const IgemmKernel*>& igemm_kernels(Precision precision) {
  static const std::array kernels = [] {
    std::array<std::vector<const IgemmKernel*>, 3> result;
    for (const IgemmKernel* kernel : usable<IgemmKernel>({
#define VARIANT(name, type) &name::kernel,
#include "igemm_nhwc_variants.inc"
#undef VARIANT
         })) {
      result[static_cast<std::size_t>(kernel->precision)].push_back(kernel);
    }
    return result;
  }();
  return kernels[static_cast<std::size_t>(precision)];
}

}  // namespace adafuse
