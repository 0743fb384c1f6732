#include "microkernels/gemv/gemv.h"

#include <type_traits>

#include "microkernels/variants.h"

namespace adafuse {
namespace gemv_weights {
using float32 = float;
using bfloat16 = BFloat16;
}  // namespace gemv_weights

#define VARIANT(name, type)                           \
  namespace name {                                    \
  extern const GemvKernel<gemv_weights::type> kernel; \
  }
#include "gemv_variants.inc"
#undef VARIANT

template <typename Weight>
const std::vector<const GemvKernel<Weight>*>& gemv_kernels() {
  static const std::vector<const GemvKernel<Weight>*> kernels = [] {
    std::vector<const GemvKernel<Weight>*> result;
    const auto offer = [&](const auto& kernel) {
      if constexpr (std::is_same_v<decltype(kernel), const GemvKernel<Weight>&>) {
        if (supports(kernel.instruction_set)) {
          result.push_back(&kernel);
        }
      }
    };
#define VARIANT(name, type) offer(name::kernel);
#include "gemv_variants.inc"
#undef VARIANT
    return result;
  }();
  return kernels;
}

template const std::vector<const GemvKernel<float>*>& gemv_kernels();
template const std::vector<const GemvKernel<BFloat16>*>& gemv_kernels();

}  // namespace adafuse
