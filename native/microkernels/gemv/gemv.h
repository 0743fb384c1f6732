// Matrix-vector kernels for a few vectors at a time; weights are read once, in the order of memory.
#pragma once

#include <cstddef>
#include <vector>

#include "base/precision.h"
#include "base/processor.h"

namespace adafuse {

// Rows of weights that are read side by side.
constexpr std::size_t kGemvRows = 4;

// One variant: a type of weights and an instruction set.
template <typename Weight>  // float or BFloat16
struct GemvKernel {
  InstructionSet instruction_set;

  // Writes products[n * product_pitch + r], the products of inputs n < count with rows r < rows of
  // weights, at most kGemvRows and `pitch` values apart.  Rows and inputs have `width` values; the
  // rows that follow are prefetched.  A product does not depend on the others of the call.
  void (*multiply)(const Weight* weights, std::size_t pitch, std::size_t rows, const float* inputs,
                   std::size_t count, std::size_t width, float* products,
                   std::size_t product_pitch);

  // Adds `count` rows of `width` weights, each multiplied by its factor, to `width` accumulators,
  // one row after another: the result does not depend on how many calls share the rows.
  void (*accumulate)(const Weight* const* rows, const float* factors, std::size_t count,
                     std::size_t width, float* accumulators);
};

// The variants for this type of weights that this processor can run, the best first.
template <typename Weight>
const std::vector<const GemvKernel<Weight>*>& gemv_kernels();

}  // namespace adafuse
