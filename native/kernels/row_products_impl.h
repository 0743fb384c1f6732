// The products for one instruction set.  The including file is compiled with that instruction set's
// flags and defines, in the namespace ROWS_NAMESPACE, the `kernel` that it describes by the macros
// ROWS_NAME and _LANES.
//
// Nothing of the C++ library may be used here, see tile_kernel_impl.h.
#include "kernels/row_products.h"

namespace adafuse::ROWS_NAMESPACE {
namespace {

constexpr std::size_t kLanes = ROWS_LANES;
using Vector
    [[gnu::vector_size(kLanes * sizeof(float)), gnu::aligned(sizeof(float)), gnu::may_alias]] =
        float;

void multiply(const float* weights, std::size_t rows, const float* const* inputs, std::size_t count,
              float* const* products) {
  const bool pair = inputs[0] != inputs[1];
  // Where there are fewer rows, the last is read again.
  const float* row[kRowsAtOnce];
  for (std::size_t r = 0; r < kRowsAtOnce; ++r) {
    row[r] = weights + (r < rows ? r : rows - 1) * count;
  }
  const float* const next = weights + kRowsAtOnce * count;
  Vector sums[kInputsAtOnce][kRowsAtOnce] = {};
  const std::size_t whole = count / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    const Vector x = *reinterpret_cast<const Vector*>(inputs[0] + i);
    const Vector y = *reinterpret_cast<const Vector*>(inputs[1] + i);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRowsAtOnce; ++r) {
      __builtin_prefetch(next + kRowsAtOnce * i + r * kLanes, 0, 2);
      const Vector w = *reinterpret_cast<const Vector*>(row[r] + i);
      sums[0][r] += w * x;
      if (pair) {
        sums[1][r] += w * y;
      }
    }
  }
  for (std::size_t n = 0; n < (pair ? kInputsAtOnce : 1); ++n) {
    for (std::size_t r = 0; r < rows; ++r) {
      float product = 0;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        product += sums[n][r][lane];
      }
      for (std::size_t rest = whole; rest < count; ++rest) {
        product += row[r][rest] * inputs[n][rest];
      }
      products[n][r] = product;
    }
  }
}

}  // namespace

extern const RowProducts kernel;
const RowProducts kernel{ROWS_NAME, multiply};

}  // namespace adafuse::ROWS_NAMESPACE
