#include "microkernels/winograd/transforms.h"

#include "microkernels/variants.h"

namespace adafuse {

#define VARIANT(name, type)           \
  namespace name {                    \
  extern const WinogradKernel kernel; \
  }
#include "winograd_variants.inc"
#undef VARIANT

const std::vector<const WinogradKernel*>& winograd_kernels() {
  static const std::vector<const WinogradKernel*> kernels = usable<WinogradKernel>({
#define VARIANT(name, type) &name::kernel,
#include "winograd_variants.inc"
#undef VARIANT
  });
  return kernels;
}

const WinogradKernel& winograd_kernel(InstructionSet most) {
  return best_within(most, winograd_kernels());
}

}  // namespace adafuse
