// 3x3 pooling of a row of NHWC pixels.
#pragma once

#include <cstddef>
#include <vector>

#include "base/precision.h"
#include "base/processor.h"

namespace adafuse {

constexpr std::size_t kPoolWindow = 3;

// A row of pooled pixels.  Values of the 3x3 pixels under each are not negative.
struct PoolRow {
  bool mean;                      // of all nine values; false: their maximum
  std::size_t stride;             // 1 or 2
  std::size_t pad;                // zeros in front of the row; there are enough behind it
  const char* rows[kPoolWindow];  // input rows; null above and below the frame, for zeros
  std::ptrdiff_t pixel_stride;    // bytes
  std::size_t width;              // pixels of an input row
  std::size_t values;             // of a pixel; whole vectors are read and written
  char* output;
  std::ptrdiff_t output_stride;  // bytes
  std::size_t outputs;           // pixels
  float share;                   // factor of the maximum or of the sum of nine
  float* totals;                 // per value, whole vectors: sums, to which the pixels are added
};

// One variant: a data type and an instruction set.
struct Pool3x3Kernel {
  InstructionSet instruction_set;
  Precision precision;
  void (*run)(const PoolRow& row);
};

// The variants of a data type that this processor can run, the best first.
const std::vector<const Pool3x3Kernel*>& pool3x3_kernels(Precision precision);
// The best variant whose instruction set is not better than `most`, a set of this processor.
const Pool3x3Kernel& pool3x3_kernel(Precision precision, InstructionSet most);

}  // namespace adafuse
