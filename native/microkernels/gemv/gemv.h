// Products of matrices of which one has few rows: every weight is read once, in its order.
#pragma once

#include <cstddef>
#include <type_traits>

#include "base/precision.h"

namespace adafuse {

// Rows of weights that are read side by side.
constexpr std::size_t kRowsAtOnce = 4;

template <typename Weight>  // float or BFloat16
struct RowProducts {
  // The products of `rows` rows of weights, at most kRowsAtOnce and `pitch` apart, with `count`
  // inputs, whose products are `product_pitch` apart.  Rows and inputs have `width` values; the
  // rows that follow are prefetched.  A product does not depend on what other ones are made with
  // it.
  void (*multiply)(const Weight* weights, std::size_t pitch, std::size_t rows, const float* inputs,
                   std::size_t count, std::size_t width, float* products,
                   std::size_t product_pitch);

  // Adds `count` rows of `width` weights to as many sums, each multiplied by its factor, one after
  // another: how many calls they come in makes no difference.
  void (*accumulate)(const Weight* const* rows, const float* factors, std::size_t count,
                     std::size_t width, float* sums);
};

// One implementation per instruction set.
struct RowKernel {
  const char* name;
  RowProducts<float> float32;
  RowProducts<BFloat16> bfloat16;
};

// The best one this processor can run.
const RowKernel& row_kernel();

template <typename Weight>
const RowProducts<Weight>& row_products() {
  if constexpr (std::is_same_v<Weight, float>) {
    return row_kernel().float32;
  } else {
    return row_kernel().bfloat16;
  }
}

}  // namespace adafuse
