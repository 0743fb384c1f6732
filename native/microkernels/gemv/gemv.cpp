#include "microkernels/gemv/gemv.h"

#include "microkernels/variants.h"

namespace adafuse {
namespace gemv_types {
using float32 = float;
using bfloat16 = BFloat16;
}  // namespace gemv_types

#define VARIANT(name, type)                          \
  namespace name {                                   \
  extern const RowProducts<gemv_types::type> kernel; \
  }
#include "gemv_variants.inc"
#undef VARIANT

template <typename Weight>
const RowProducts<Weight>& row_products() {
  static const RowProducts<Weight>& best = [&]() -> const RowProducts<Weight>& {
    const RowProducts<Weight>* first = nullptr;
    const auto offer = [&](const auto& kernel) {
      if constexpr (std::is_same_v<decltype(kernel), const RowProducts<Weight>&>) {
        if (first == nullptr && supports(kernel.instruction_set)) {
          first = &kernel;
        }
      }
    };
#define VARIANT(name, type) offer(name::kernel);
#include "gemv_variants.inc"
#undef VARIANT
    return *first;
  }();
  return best;
}

template const RowProducts<float>& row_products();
template const RowProducts<BFloat16>& row_products();

}  // namespace adafuse
