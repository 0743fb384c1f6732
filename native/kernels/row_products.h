// Products of matrices of which one has few rows: every weight is read once, in its order.
#pragma once

#include <cstddef>

namespace adafuse {

// Rows of weights that are read side by side.
constexpr std::size_t kRowsAtOnce = 4;

// One implementation per instruction set.
struct RowProducts {
  const char* name;  // of the instruction set

  // The products of `rows` rows of weights, at most kRowsAtOnce and `pitch` apart, with `count`
  // inputs, whose products are `product_pitch` apart.  Rows and inputs have `width` values; the
  // rows that follow are prefetched.  A product does not depend on what other ones are made with
  // it.
  void (*multiply)(const float* weights, std::size_t pitch, std::size_t rows, const float* inputs,
                   std::size_t count, std::size_t width, float* products,
                   std::size_t product_pitch);

  // Adds `count` rows of `width` weights to as many sums, each multiplied by its factor, one after
  // another: how many calls they come in makes no difference.
  void (*accumulate)(const float* const* rows, const float* factors, std::size_t count,
                     std::size_t width, float* sums);
};

// The best one this processor can run.
const RowProducts& row_products();

}  // namespace adafuse
