#include "microkernels/winograd/transforms.h"

#include <string_view>

namespace adafuse {

#define DECLARE(name)                 \
  namespace name {                    \
  extern const WinogradKernel kernel; \
  }
#if defined(__x86_64__)
DECLARE(winograd_avx512)
DECLARE(winograd_avx2)
#endif
DECLARE(winograd_baseline)
#undef DECLARE

const WinogradKernel& winograd_kernel(const TileKernel& kernel) {
#if defined(__x86_64__)
  for (const WinogradKernel* candidate : {&winograd_avx512::kernel, &winograd_avx2::kernel}) {
    if (std::string_view(candidate->name) == kernel.name) {
      return *candidate;
    }
  }
#endif
  return winograd_baseline::kernel;
}

}  // namespace adafuse
