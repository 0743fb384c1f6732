// The fused stem on every instruction set of this processor against the definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "operators/stem.h"
#include "tests/close.h"
#include "tests/parallel.h"
#include "tests/reference.h"

using namespace adafuse;

namespace {

struct Case {
  Precision precision;
  std::size_t rows, height, width, inputs, outputs, size, stride, border;
  StemPool pool;
  std::vector<float> input, weight, bias, scale;  // scale: of integer weights
  StemScales scales;

  bool integers() const { return precision == Precision::kInt8; }

  void fill(std::mt19937& random) {
    std::normal_distribution<float> normal;
    const auto draw = [&](std::vector<float>& values, std::size_t count, float scale) {
      for (std::size_t i = 0; i < count; ++i) {
        char stored[sizeof(float)];
        encode(Precision::kBFloat16, scale * normal(random), stored, 0);
        values.push_back(decode(Precision::kBFloat16, stored, 0));
      }
    };
    draw(input, rows * inputs * height * width, 1);
    const std::size_t filter = inputs * size * size;
    const float usual = 1 / std::sqrt(static_cast<float>(filter));
    draw(weight, outputs * filter, integers() ? 40 : usual);
    draw(bias, outputs, 0.2f);
    if (integers()) {
      scales = {0.02f, 0.015f};
      for (float& value : weight) {
        value = std::nearbyint(std::clamp(value, -127.0f, 127.0f));
      }
      for (std::size_t i = 0; i < outputs; ++i) {
        scale.push_back(usual / 40 * (1 + 0.1f * normal(random)));
      }
      for (float& value : input) {  // as the stem rounds it
        value = scales.input * std::nearbyint(std::clamp(value / scales.input, -128.0f, 127.0f));
      }
    }
  }
};

void check_case(const Case& c, const IgemmKernel& kernel, const ParallelFor& parallel_for) {
  ConvShape shape;
  shape.frames = c.rows;
  shape.in_channels = c.inputs;
  shape.in_height = c.height;
  shape.in_width = c.width;
  shape.out_channels = c.outputs;
  shape.kernel_height = shape.kernel_width = c.size;
  shape.stride_y = shape.stride_x = c.stride;
  shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = c.size / 2;
  std::vector<float> values = c.weight;
  for (std::size_t i = 0; c.integers() && i < values.size(); ++i) {
    values[i] *= c.scale[i / (c.inputs * c.size * c.size)];
  }
  const std::vector<double> conv = reference::convolution(shape, c.input, values, c.bias);

  const ConvWeights weights{c.weight.data(), c.bias.data(),
                            c.outputs,       c.inputs,
                            c.size * c.size, c.integers() ? c.scale.data() : nullptr};
  const Stem stem(weights, c.stride, c.pool, c.border, kernel, c.scales);
  const NhwcLayout layout = stem.output_layout(c.height, c.width);
  std::vector<char> output(c.rows * layout.frame_pitch(), static_cast<char>(0xff));
  std::vector<float> pooled(c.rows * c.outputs, std::numeric_limits<float>::quiet_NaN());
  stem.run(c.input.data(), c.rows, c.height, c.width, output.data(), pooled.data(), parallel_for,
           test_workspaces());

  const double most = c.precision == Precision::kFloat32    ? 1e-5
                      : c.precision == Precision::kBFloat16 ? 3e-2
                                                            : 0.51 * c.scales.output;
  // The largest an integer stands for.
  const double limit = c.integers() ? 255 * c.scales.output : 1e9;
  const std::ptrdiff_t edge = static_cast<std::ptrdiff_t>(c.border);
  const std::ptrdiff_t height = std::ptrdiff_t(layout.height), width = std::ptrdiff_t(layout.width);
  for (std::size_t row = 0; row < c.rows; ++row) {
    for (std::size_t o = 0; o < c.outputs; ++o) {
      double sum = 0;
      for (std::ptrdiff_t y = -edge; y < height + edge; ++y) {
        for (std::ptrdiff_t x = -edge; x < width + edge; ++x) {
          double expected = 0;  // ReLU
          const bool inside = y >= 0 && y < height && x >= 0 && x < width;
          for (std::size_t k = 0; inside && k < 9; ++k) {
            const std::size_t cy = std::size_t(y) * 2 + k / 3 - c.pool.pad;
            const std::size_t cx = std::size_t(x) * 2 + k % 3 - c.pool.pad;
            if (cy < shape.out_height() && cx < shape.out_width()) {
              expected = std::max(
                  expected,
                  conv[((row * c.outputs + o) * shape.out_height() + cy) * shape.out_width() + cx]);
            }
          }
          expected = std::min(expected, limit);
          const char* pixel = output.data() + row * layout.frame_pitch() + layout.offset(y, x);
          const double got = c.scales.output * decode(c.precision, pixel, o);
          CHECK_CLOSE(got, expected, most);
          sum += expected;
        }
      }
      CHECK(std::abs(pooled[row * c.outputs + o] - sum / double(height * width)) <= most);
    }
  }
}

void equals_the_definition(const IgemmKernel& kernel) {
  std::mt19937 random(1);
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  for (int i = 0; i < 40; ++i) {
    Case c{};
    c.precision = kernel.precision;
    c.rows = between(1, 3);
    c.height = between(3, 40);
    c.width = between(3, 40);
    c.inputs = between(1, 4);
    c.outputs = between(1, 70);
    c.size = 2 * between(0, 3) + 1;
    c.stride = between(1, 2);
    c.border = between(0, 1);
    c.pool = {between(0, 1), between(0, 1) > 0};
    c.fill(random);
    check_case(c, kernel, i % 2 == 0 ? ParallelFor(serial) : ParallelFor(threaded));
  }
}

// Sizes as torch.nn.functional.max_pool2d gives them.
void counts_windows() {
  const auto size = [](std::size_t input, std::size_t pad, bool ceil) {
    return StemPool{pad, ceil}.output_size(input);
  };
  CHECK(size(112, 1, false) == 56);
  CHECK(size(112, 0, true) == 56);
  CHECK(size(113, 0, true) == 56);
  CHECK(size(4, 0, true) == 2);
  CHECK(size(4, 0, false) == 1);
  CHECK(size(3, 1, true) == 2);
  CHECK(size(1, 1, true) == 1);
}

}  // namespace

TEST_CASE("the stem") {
  counts_windows();
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    for (const IgemmKernel* kernel : igemm_kernels(precision)) {
      INFO(to_string(kernel->instruction_set), ", ", value_bytes(precision), " bytes a value");
      equals_the_definition(*kernel);
    }
  }
}
