// Every variant of the Winograd transforms: a depthwise 3x3 convolution of a tile against the plain
// sum.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "microkernels/winograd/winograd.h"

using namespace adafuse;

namespace {

std::mt19937 random_bits(23);

float draw() {
  return static_cast<float>(random_bits() % 2001) / 1000 - 1;
}

// A tile of which `rows` x `columns` output pixels exist, and so two more of the input each way.
void check(const WinogradKernel& kernel, std::size_t channels, std::size_t rows,
           std::size_t columns, bool with_residual) {
  constexpr float kPoison = -77;
  const std::size_t pitch = channels + 32, side = kWinogradTile;
  std::vector<float> input(side * side * pitch), weight(channels * 9), bias(pitch);
  std::vector<float> output(side * side * pitch, kPoison), residual(side * side * pitch);
  std::vector<float> totals(pitch, 0);
  for (std::vector<float>* values : {&input, &weight, &bias, &residual}) {
    std::generate(values->begin(), values->end(), draw);
  }
  const std::vector<float> no_bias(1);
  const WinogradWeights transformed({weight.data(), no_bias.data(), 1, channels, 9});
  AlignedArray<float> points;
  const std::size_t point_pitch = channels + 64;
  points.reserve((kWinogradPoints + 1) * point_pitch);
  const std::ptrdiff_t bytes = static_cast<std::ptrdiff_t>(pitch * sizeof(float));
  kernel.transform_input({reinterpret_cast<const char*>(input.data()),
                          static_cast<std::ptrdiff_t>(side) * bytes, bytes, rows + 2, columns + 2},
                         channels, reinterpret_cast<char*>(points.data()),
                         static_cast<std::ptrdiff_t>(point_pitch * sizeof(float)));
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t p = 0; p < kWinogradPoints; ++p) {
      points.data()[p * point_pitch + c] *= transformed.conv().weight[c * kWinogradPoints + p];
    }
  }
  kernel.transform_output(
      reinterpret_cast<const char*>(points.data()),
      static_cast<std::ptrdiff_t>(point_pitch * sizeof(float)), channels,
      {reinterpret_cast<char*>(output.data()), static_cast<std::ptrdiff_t>(side) * bytes, bytes,
       rows, columns, bias.data(),
       with_residual ? reinterpret_cast<const char*>(residual.data()) : nullptr, -0.25f,
       totals.data()});
  std::vector<double> expected_totals(channels, 0);
  for (std::size_t y = 0; y < side; ++y) {
    for (std::size_t x = 0; x < side; ++x) {
      for (std::size_t c = 0; c < channels; ++c) {
        const std::size_t at = (y * side + x) * pitch + c;
        if (y >= rows || x >= columns) {
          CHECK(output[at] == kPoison);
          continue;
        }
        double expected = bias[c] + (with_residual ? residual[at] : 0.0);
        for (std::size_t ky = 0; ky < 3; ++ky) {
          for (std::size_t kx = 0; kx < 3; ++kx) {
            expected += static_cast<double>(weight[c * 9 + ky * 3 + kx]) *
                        input[((y + ky) * side + x + kx) * pitch + c];
          }
        }
        expected = std::max(expected, -0.25);
        CHECK(std::abs(output[at] - expected) <= 1e-5);
        expected_totals[c] += expected;
      }
    }
  }
  for (std::size_t c = 0; c < channels; ++c) {
    CHECK(std::abs(totals[c] - expected_totals[c]) <= 1e-4);
  }
}

}  // namespace

TEST_CASE("Winograd micro-kernels equal a convolution") {
  for (const WinogradKernel* kernel : winograd_kernels()) {
    INFO(to_string(kernel->instruction_set));
    for (const std::size_t channels : {1, 3, 4, 8, 13, 16, 37}) {
      for (std::size_t rows = 1; rows <= kWinogradOutput; ++rows) {
        for (std::size_t columns = 1; columns <= kWinogradOutput; ++columns) {
          check(*kernel, channels, rows, columns, rows % 2 == 0);
        }
      }
    }
  }
}
