// A variant of 3x3 pooling: compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "microkernels/pool3x3/pool3x3.h"

namespace adafuse::VARIANT {
namespace {

// Stand-in for igemm.h's type, which the header of int8 values names; pooling uses none.
struct EpiloguePerChannel {
  const float* bias;
  const float* scale;
};

#include "microkernels/simd/vectors.h"

static_assert(kLanes == VARIANT_CHANNELS_STEP);

// The sum of two values, or the larger one.
template <bool mean>
inline Vector pooled(Vector a, Vector b) {
  return mean ? a + b : at_least(a, b);
}

// Pools a row, a vector of channels at a time.  A column of three pixels is pooled once for all
// windows that it belongs to.
template <bool mean, int stride>
void pool(const PoolRow& row) {
  constexpr Vector kNothing{};  // read in place of a row that does not exist
  for (std::size_t first = 0; first < row.values; first += kLanes) {
    const std::size_t offset = first * kValueBytes;
    const char* rows[kPoolWindow];
    std::ptrdiff_t strides[kPoolWindow];
    for (std::size_t k = 0; k < kPoolWindow; ++k) {
      const bool lies = row.rows[k] != nullptr;
      rows[k] = lies ? row.rows[k] + offset : reinterpret_cast<const char*>(&kNothing);
      strides[k] = lies ? row.pixel_stride : 0;
    }
    const auto column = [&](std::size_t x) {
      if (x >= row.width) {  // also in front of the row, where it wraps round
        return Vector{};
      }
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x);
      return pooled<mean>(pooled<mean>(load_values(rows[0] + at * strides[0]),
                                       load_values(rows[1] + at * strides[1])),
                          load_values(rows[2] + at * strides[2]));
    };
    std::size_t x = 0 - row.pad;
    Vector left = column(x);
    Vector middle = column(x + 1);
    char* to = row.output + offset;
    Total total{};
    for (std::size_t i = 0; i < row.outputs; ++i, x += stride) {
      if constexpr (stride == 2) {
        middle = column(x + 1);
      }
      const Vector right = column(x + 2);
      total += store_values(to, row.share * pooled<mean>(pooled<mean>(left, middle), right));
      to += row.output_stride;
      left = stride == 2 ? right : middle;
      middle = right;
    }
    store(row.totals + first, load(row.totals + first) + __builtin_convertvector(total, Vector));
  }
}

void pool_row(const PoolRow& row) {
  constexpr decltype(&pool<false, 1>) kPools[2][2] = {{pool<false, 1>, pool<false, 2>},
                                                      {pool<true, 1>, pool<true, 2>}};
  kPools[row.mean ? 1 : 0][row.stride - 1](row);
}

}  // namespace

extern const Pool3x3Kernel kernel;
const Pool3x3Kernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET, kPrecision, pool_row};

}  // namespace adafuse::VARIANT
