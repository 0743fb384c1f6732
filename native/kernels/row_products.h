// Products of matrices of which one has few rows: every weight is read once, in its order.
#pragma once

#include <cstddef>

namespace adafuse {

// Rows of weights that are read side by side, and inputs that share them once they are read.
constexpr std::size_t kRowsAtOnce = 4;
constexpr std::size_t kInputsAtOnce = 2;

// One implementation per instruction set.
struct RowProducts {
  const char* name;  // of the instruction set

  // The products of `rows` rows of weights, at most kRowsAtOnce, with each of the inputs, which may
  // be the same one.  Rows and inputs have `count` values; what follows the rows is prefetched.
  void (*multiply)(const float* weights, std::size_t rows, const float* const* inputs,
                   std::size_t count, float* const* products);
};

// The best one this processor can run.
const RowProducts& row_products();

}  // namespace adafuse
