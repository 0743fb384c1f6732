#include "microkernels/pool3x3/pool3x3.h"

#include <array>

#include "microkernels/variants.h"

namespace adafuse {

#define VARIANT(name, type)          \
  namespace name {                   \
  extern const Pool3x3Kernel kernel; \
  }
#include "pool3x3_variants.inc"
#undef VARIANT

const std::vector<const Pool3x3Kernel*>& pool3x3_kernels(Precision precision) {
  static const std::array kernels = [] {
    std::array<std::vector<const Pool3x3Kernel*>, 3> result;
    for (const Pool3x3Kernel* kernel : usable<Pool3x3Kernel>({
#define VARIANT(name, type) &name::kernel,
#include "pool3x3_variants.inc"
#undef VARIANT
         })) {
      result[static_cast<std::size_t>(kernel->precision)].push_back(kernel);
    }
    return result;
  }();
  return kernels[static_cast<std::size_t>(precision)];
}

const Pool3x3Kernel& pool3x3_kernel(Precision precision, InstructionSet most) {
  return best_within(most, pool3x3_kernels(precision));
}

}  // namespace adafuse
