// Every variant of 3x3 pooling against the definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "microkernels/pool3x3/pool3x3.h"

using namespace adafuse;

namespace {

std::mt19937 random_bits(24);

void check(const Pool3x3Kernel& kernel, bool mean, std::size_t stride, std::size_t pad,
           std::size_t width, std::size_t missing_row) {
  const Precision precision = kernel.precision;
  const std::size_t channels = 24, pitch = 48;  // values of a pixel, and room for whole vectors
  const std::size_t value = value_bytes(precision);
  AlignedArray<char> rows[kPoolWindow], output;
  for (AlignedArray<char>& row : rows) {
    row.reserve(width * pitch * value);
    for (std::size_t i = 0; i < width * pitch; ++i) {
      encode(precision, static_cast<float>(random_bits() % 200), row.data(), i);
    }
  }
  const std::size_t outputs = (width + 2 * pad - kPoolWindow) / stride + 1;
  output.reserve(outputs * pitch * value);
  std::vector<float> totals(pitch, 0);
  PoolRow row{mean,
              stride,
              pad,
              {},
              static_cast<std::ptrdiff_t>(pitch * value),
              width,
              channels,
              output.data(),
              static_cast<std::ptrdiff_t>(pitch * value),
              outputs,
              mean ? 1.0f / 9 : 1,
              totals.data()};
  for (std::size_t k = 0; k < kPoolWindow; ++k) {
    row.rows[k] = k == missing_row ? nullptr : rows[k].data();
  }
  kernel.run(row);
  std::vector<double> sums(channels, 0);
  for (std::size_t i = 0; i < outputs; ++i) {
    for (std::size_t c = 0; c < channels; ++c) {
      double sum = 0, most = 0;
      for (std::size_t k = 0; k < kPoolWindow; ++k) {
        for (std::size_t j = 0; j < kPoolWindow; ++j) {
          const std::size_t x = i * stride + j - pad;  // wraps round
          const double read =
              k == missing_row || x >= width ? 0 : decode(precision, rows[k].data(), x * pitch + c);
          sum += read;
          most = std::max(most, read);
        }
      }
      const double expected = mean ? sum / 9 : most;
      const double stored = decode(precision, output.data(), i * pitch + c);
      const double tolerance = !mean                              ? 0
                               : precision == Precision::kFloat32 ? 1e-4
                               : precision == Precision::kInt8    ? 0.501
                                                                  : expected / 250;
      CHECK(std::abs(stored - expected) <= tolerance);
      sums[c] += precision == Precision::kInt8 ? stored : expected;
    }
  }
  for (std::size_t c = 0; c < channels; ++c) {
    CHECK(std::abs(totals[c] - sums[c]) <= 1e-5 * std::max(1.0, sums[c]));
  }
}

}  // namespace

TEST_CASE("3x3 pooling micro-kernels equal the definition") {
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    for (const Pool3x3Kernel* kernel : pool3x3_kernels(precision)) {
      INFO(to_string(kernel->instruction_set), ", ", value_bytes(precision), " bytes a value");
      for (const std::size_t width : {3, 4, 7, 10}) {
        for (const std::size_t stride : {1, 2}) {
          for (const std::size_t pad : {0, 1}) {
            for (const std::size_t missing_row : {0, 2, 3}) {  // none of them
              check(*kernel, false, stride, pad, width, missing_row);
              check(*kernel, true, stride, pad, width, missing_row);
            }
          }
        }
      }
    }
  }
}
