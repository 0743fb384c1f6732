// 3x3 pooling of a row of NHWC pixels.
#pragma once

#include <cstddef>
#include <vector>

#include "base/precision.h"
#include "base/processor.h"

namespace adafuse {

constexpr std::size_t kPoolWindow = 3;

// A row of pooled pixels, each made of 3x3 that are not below zero.
struct PoolRow {
  bool mean;                      // of all nine, or the largest
  std::size_t stride;             // 1 or 2
  std::size_t pad;                // pixels in front of the row, as many as behind it are wanted
  const char* rows[kPoolWindow];  // under the windows; null above and below the frame
  std::ptrdiff_t pixel_stride;    // bytes
  std::size_t width;              // pixels of a row; what lies around them counts as zeros
  std::size_t values;             // of a pixel; whole vectors are read and written
  char* output;
  std::ptrdiff_t output_stride;  // bytes
  std::size_t outputs;           // pixels
  float share;                   // factor of the largest or of the sum
  float* totals;                 // per value, whole vectors: the pixels are added to it
};

// One variant: a data type and an instruction set.
struct Pool3x3Kernel {
  InstructionSet instruction_set;
  Precision precision;
  void (*run)(const PoolRow& row);
};

// The variants of a data type that this processor can run, the best first.
const std::vector<const Pool3x3Kernel*>& pool3x3_kernels(Precision precision);
// The best of them that needs nothing beyond `most`, a set of this processor.
const Pool3x3Kernel& pool3x3_kernel(Precision precision, InstructionSet most);

}  // namespace adafuse
