// Every variant of the gemv kernels against the plain sums.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "microkernels/gemv/gemv.h"

using namespace adafuse;

namespace {

std::mt19937 random_bits(22);

float draw() {
  return static_cast<float>(random_bits() % 2001) / 1000 - 1;
}

void store(float value, float& weight) {
  weight = value;
}
void store(float value, BFloat16& weight) {
  weight.bits = to_bfloat16(value);
}
float number(float weight) {
  return weight;
}
float number(BFloat16 weight) {
  return decode(Precision::kBFloat16, reinterpret_cast<const char*>(&weight), 0);
}

template <typename Weight>
void check() {
  for (const GemvKernel<Weight>* kernel : gemv_kernels<Weight>()) {
    INFO(to_string(kernel->instruction_set), ", ", sizeof(Weight), " bytes a weight");
    for (const std::size_t width : {1, 15, 16, 67}) {
      const std::size_t pitch = width + 3;
      std::vector<Weight> weights(2 * kGemvRows * pitch);  // rows behind are prefetched
      for (Weight& weight : weights) {
        store(draw(), weight);
      }
      for (std::size_t rows = 1; rows <= kGemvRows; ++rows) {
        for (std::size_t count = 1; count <= 9; ++count) {
          std::vector<float> inputs(count * width), products(count * 10, -9);
          for (float& input : inputs) {
            input = draw();
          }
          kernel->multiply(weights.data(), pitch, rows, inputs.data(), count, width,
                           products.data(), 10);
          for (std::size_t n = 0; n < count; ++n) {
            for (std::size_t r = 0; r < 10; ++r) {
              double expected = r < rows ? 0 : -9;  // others are left alone
              for (std::size_t i = 0; i < width && r < rows; ++i) {
                expected +=
                    static_cast<double>(number(weights[r * pitch + i])) * inputs[n * width + i];
              }
              CHECK(std::abs(products[n * 10 + r] - expected) <= 1e-5);
            }
          }
        }
      }
      for (std::size_t count = 0; count <= 11; ++count) {
        std::vector<const Weight*> rows;
        std::vector<float> factors, accumulators(width + 1, 0.5f);
        for (std::size_t i = 0; i < count; ++i) {
          rows.push_back(weights.data() + random_bits() % (2 * kGemvRows) * pitch);
          factors.push_back(draw());
        }
        kernel->accumulate(rows.data(), factors.data(), count, width, accumulators.data());
        for (std::size_t i = 0; i <= width; ++i) {
          double expected = 0.5;
          for (std::size_t r = 0; r < count && i < width; ++r) {
            expected += static_cast<double>(factors[r]) * number(rows[r][i]);
          }
          CHECK(std::abs(accumulators[i] - expected) <= 1e-5);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("GEMV micro-kernels equal the definition") {
  check<float>();
  check<BFloat16>();
}
