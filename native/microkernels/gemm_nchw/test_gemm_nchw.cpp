// Every variant of the GEMM micro-kernel on NCHW against the plain sum, with every tile size.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "microkernels/gemm_nchw/gemm.h"

using namespace adafuse;

TEST_CASE("GEMM micro-kernels on NCHW equal the definition") {
  std::mt19937 random_bits(21);
  const auto draw = [&] { return static_cast<float>(random_bits() % 2001) / 1000 - 1; };
  constexpr std::size_t kDepth = 29, kWeights = 64;
  for (const GemmKernel* kernel : gemm_kernels()) {
    INFO(to_string(kernel->instruction_set));
    for (std::size_t rows = 1; rows <= kernel->mr; ++rows) {
      for (std::size_t width = kernel->nr_step; width <= kernel->nr; width += kernel->nr_step) {
        const std::size_t stride = kernel->nr + kernel->nr_step;
        std::vector<std::vector<float>> weights(rows, std::vector<float>(kWeights));
        std::vector<const float*> pointers;
        for (std::vector<float>& row : weights) {
          for (float& weight : row) {
            weight = draw();
          }
          pointers.push_back(row.data());
        }
        std::vector<std::uint32_t> offsets(kDepth);
        for (std::uint32_t& offset : offsets) {
          offset = random_bits() % kWeights;
        }
        AlignedArray<float> pixels, accumulators;
        pixels.reserve(kDepth * width);
        accumulators.reserve(rows * stride);
        for (std::size_t i = 0; i < kDepth * width; ++i) {
          pixels.data()[i] = draw();
        }
        for (std::size_t i = 0; i < rows * stride; ++i) {
          accumulators.data()[i] = draw();
        }
        const std::vector<float> before(accumulators.data(), accumulators.data() + rows * stride);
        kernel->run(rows, width, kDepth, pointers.data(), offsets.data(), pixels.data(),
                    accumulators.data(), stride);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t p = 0; p < stride; ++p) {
            double expected = before[r * stride + p];
            for (std::size_t k = 0; k < kDepth && p < width; ++k) {
              expected +=
                  static_cast<double>(weights[r][offsets[k]]) * pixels.data()[k * width + p];
            }
            CHECK(std::abs(accumulators.data()[r * stride + p] - expected) <= 1e-5);
          }
        }
      }
    }
  }
}
