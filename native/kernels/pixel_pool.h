// Pooling of a few pixels into one, value by value, with channels innermost.
#pragma once

#include <cstddef>

#include "kernels/precision.h"

namespace adafuse {

constexpr std::size_t kPoolWindow = 3;
constexpr std::size_t kWindowPixels = kPoolWindow * kPoolWindow;

// Writes the largest of `count` pixels, none below zero, to `to` and adds it to `sums`.  In
// kInt8 it is multiplied by `factor` first and rounded.
void take_largest(Precision precision, const char* const* pixels, std::size_t count,
                  std::size_t values, char* to, float* sums, float factor = 1);

// The same with the mean of nine pixels.
void take_mean(Precision precision, const char* const* pixels, std::size_t values, char* to,
               float* sums, float factor = 1);

}  // namespace adafuse
