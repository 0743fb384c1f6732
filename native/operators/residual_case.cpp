#include "operators/residual_case.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "layout/nchw_to_nhwc.h"
#include "tests/close.h"
#include "tests/reference.h"

namespace adafuse {
namespace {

// Values of memory that nothing has written: not a number in every floating-point type.
constexpr char kUnwritten = static_cast<char>(0xff);

// The value nearest to `value` that 8 bits hold in units of `scale`.
float quantised(double value, float scale) {
  return scale * static_cast<float>(std::nearbyint(std::clamp(value / scale, 0.0, 255.0)));
}

// Numbers of a normal distribution that bfloat16 can hold.
std::vector<float> draw(std::mt19937& random, std::size_t count, float scale) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) {
    char stored[sizeof(float)];
    encode(Precision::kBFloat16, scale * normal(random), stored, 0);
    value = decode(Precision::kBFloat16, stored, 0);
  }
  return values;
}

}  // namespace

ConvWeights ResidualConv::weights() const {
  return {weight.data(), bias.data(),     outputs,
          inputs,        kernel * kernel, scale.empty() ? nullptr : scale.data()};
}

ConvWeights ResidualConv::lasting(AlignedArray<float>& memory, bool by_panels) const {
  ConvWeights result = weights();
  result.lasting = true;
  const std::size_t taps = kernel * kernel;
  const std::size_t panels = ceil_div(outputs, kStoredPanel);
  const std::size_t size = by_panels ? panels * taps * inputs * kStoredPanel : weight.size();
  float* const to = memory.reserve(size);
  if (!by_panels) {
    std::copy(weight.begin(), weight.end(), to);
    result.weight = to;
    return result;
  }
  std::fill_n(to, size, 0.0f);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const std::size_t output = i / (inputs * taps), input = i / taps % inputs, tap = i % taps;
    to[((output / kStoredPanel * taps + tap) * inputs + input) * kStoredPanel +
       output % kStoredPanel] = weight[i];
  }
  result.weight = nullptr;
  result.panels = to;
  return result;
}

std::vector<float> ResidualConv::values() const {
  std::vector<float> result = weight;
  const std::size_t size = inputs * kernel * kernel;
  for (std::size_t i = 0; !scale.empty() && i < result.size(); ++i) {
    result[i] *= scale[i / size];
  }
  return result;
}

ResidualConv ResidualCase::draw_conv(std::mt19937& random, std::size_t outputs, std::size_t inputs,
                                     std::size_t kernel, std::size_t conv_stride) const {
  ResidualConv conv{outputs, inputs, kernel, conv_stride, {}, {}, {}};
  const std::size_t taps = inputs * kernel * kernel;
  const float size = std::sqrt(2.0f / static_cast<float>(taps + 1));
  conv.weight = draw(random, outputs * taps, integers() ? 40 : size);
  conv.bias = draw(random, outputs, 0.2f);
  for (float& weight : conv.weight) {
    weight = integers() ? std::nearbyint(std::clamp(weight, -127.0f, 127.0f)) : weight;
  }
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; integers() && i < outputs; ++i) {
    conv.scale.push_back(size / 40 * (1 + 0.1f * normal(random)));
  }
  return conv;
}

void ResidualCase::fill(std::mt19937& random) {
  input = draw(random, rows() * in_channels * height * width, 1);
  if (integers()) {
    scales = {0.01f, 0.012f, 0.013f, 0.014f};
    for (float& value : input) {
      value = quantised(std::abs(value), scales.input);
    }
  }
  convs.clear();
  if (bottleneck) {
    convs.push_back(draw_conv(random, mid_channels, in_channels, 1, 1));
    const std::size_t narrow = conv2_channels == 0 ? mid_channels : conv2_channels;
    convs.push_back(draw_conv(random, narrow, mid_channels, 3, stride));
    convs.push_back(draw_conv(random, out_channels, narrow, 1, 1));
  } else {
    convs.push_back(draw_conv(random, mid_channels, in_channels, 3, stride));
    convs.push_back(draw_conv(random, out_channels, mid_channels, 3, 1));
  }
  shortcut = draw_conv(random, out_channels, in_channels, 1, stride);
}

void ResidualCase::draw_policy(std::mt19937& random) {
  std::uniform_int_distribution<int> percent(0, 100);
  const int keep = percent(random);
  const int reuse = std::uniform_int_distribution<int>(keep, 100)(random);
  policy.resize(rows() * mid_channels);
  for (std::int32_t& action : policy) {
    const int drawn = percent(random);
    action = drawn < keep ? 0 : drawn < reuse ? 1 : 2;
  }
}

ResidualBlock ResidualCase::block(const IgemmKernel& kernel,
                                  AlignedArray<float> (&memory)[4]) const {
  const auto given = [&](const ResidualConv& conv, std::size_t index) {
    const bool by_panels = index > 0 && !(winograd && index == 1);
    return lasting ? conv.lasting(memory[index], by_panels) : conv.weights();
  };
  ResidualBlockSpec spec{
      given(convs[0], 0), given(convs[1], 1), std::nullopt, std::nullopt, stride, shift, scales,
      winograd,           shift_shortcut};
  if (bottleneck) {
    spec.conv3 = given(convs[2], 2);
  }
  if (projects) {
    spec.shortcut = given(shortcut, 3);
  }
  return ResidualBlock(spec, kernel);
}

ResidualResult ResidualCase::run(const IgemmKernel& kernel, const ParallelFor& parallel_for,
                                 bool in_place, const NodeRecording* recording) const {
  AlignedArray<float> memory[4];
  const ResidualBlock fused = block(kernel, memory);
  const NhwcLayout in = fused.input_layout(height, width);
  const NhwcLayout out = fused.output_layout(height, width);
  std::vector<char> x(rows() * in.frame_pitch(), kUnwritten);
  std::vector<char> y(rows() * out.frame_pitch(), kUnwritten);
  std::vector<float> input_means(rows() * in_channels);  // not compared
  nchw_to_nhwc(input.data(), rows(), in_channels, in, precision, scales.input, x.data(),
               input_means.data(), serial);
  ResidualResult result;
  result.pooled.assign(rows() * out_channels, std::numeric_limits<float>::quiet_NaN());
  std::vector<char>& target = in_place ? x : y;
  std::optional<Policy> view;
  if (!policy.empty()) {
    view.emplace("policy", policy.data(), clips, frames, mid_channels);
  }
  const ResidualBlockTensors tensors{x.data(), target.data(), result.pooled.data()};
  if (as_streams) {
    run_streams(fused, tensors, parallel_for);
  } else {
    fused.run(clips, frames, height, width, tensors, view ? &*view : nullptr, parallel_for,
              test_workspaces(), recording);
  }
  for (std::size_t row = 0; row < rows(); ++row) {
    const char* const frame = target.data() + row * out.frame_pitch();
    check_border(frame, out);
    for (std::size_t channel = 0; channel < out_channels; ++channel) {
      for (std::size_t i = 0; i < out.height * out.width; ++i) {
        const char* const pixel =
            frame + out.offset(std::ptrdiff_t(i / out.width), std::ptrdiff_t(i % out.width));
        result.output.push_back(scales.output * decode(precision, pixel, channel));
      }
    }
  }
  return result;
}

// Runs frame t of all clips at once, for every t: each clip is a stream.
void ResidualCase::run_streams(const ResidualBlock& fused, const ResidualBlockTensors& all,
                               const ParallelFor& parallel_for) const {
  const std::size_t in = fused.input_layout(height, width).frame_pitch();
  const std::size_t out = fused.output_layout(height, width).frame_pitch();
  const std::size_t between = fused.history_layout(height, width).frame_pitch();
  // A stream's first frame does not read the input before it.
  std::vector<char> x(clips * in), y(clips * out), previous(clips * in, kUnwritten);
  std::vector<char> convolution(clips * between, 0);
  std::vector<float> pooled(clips * out_channels);
  std::vector<std::int32_t> actions(clips * mid_channels), missing(clips * mid_channels, 0);
  for (std::size_t t = 0; t < frames; ++t) {
    for (std::size_t n = 0; n < clips; ++n) {
      const std::size_t row = n * frames + t;
      std::copy_n(all.input + row * in, in, x.data() + n * in);
      std::copy_n(policy.data() + row * mid_channels, mid_channels,
                  actions.data() + n * mid_channels);
    }
    const Policy now("policy", actions.data(), clips, 1, mid_channels);
    std::vector<char> next(clips * between, kUnwritten);
    std::vector<std::int32_t> next_missing(clips * mid_channels, -1);
    fused.run_streams(
        clips, height, width, {x.data(), y.data(), pooled.data()},
        {previous.data(), convolution.data(), missing.data(), next.data(), next_missing.data()},
        now, parallel_for, test_workspaces());
    for (std::size_t n = 0; n < clips; ++n) {
      const std::size_t row = n * frames + t;
      std::copy_n(y.data() + n * out, out, all.output + row * out);
      std::copy_n(pooled.data() + n * out_channels, out_channels, all.pooled + row * out_channels);
    }
    previous = x;
    convolution = next;
    missing = next_missing;
  }
}

void ResidualCase::check_border(const char* frame, const NhwcLayout& layout) const {
  for (std::size_t y = 0; y < layout.height + 2 * layout.border; ++y) {
    for (std::size_t x = 0; x < layout.width + 2 * layout.border; ++x) {
      const bool inside = y >= layout.border && y < layout.height + layout.border &&
                          x >= layout.border && x < layout.width + layout.border;
      const char* const pixel = frame + y * layout.row_pitch() + x * layout.pitch;
      for (std::size_t channel = 0; !inside && channel < out_channels; ++channel) {
        CHECK_CLOSE(decode(precision, pixel, channel), 0, 0);
      }
    }
  }
}

std::vector<double> ResidualCase::convolve(const ResidualConv& conv, const std::vector<float>& x,
                                           std::size_t x_height, std::size_t x_width) const {
  ConvShape shape;
  shape.frames = rows();
  shape.in_channels = conv.inputs;
  shape.in_height = x_height;
  shape.in_width = x_width;
  shape.out_channels = conv.outputs;
  shape.kernel_height = shape.kernel_width = conv.kernel;
  shape.stride_y = shape.stride_x = conv.stride;
  shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = conv.kernel / 2;
  return reference::convolution(shape, x, conv.values(), conv.bias);
}

// ReLU, and in kInt8 rounding to stored values.
std::vector<float> ResidualCase::relu(const std::vector<double>& values, float scale) const {
  std::vector<float> result;
  for (const double value : values) {
    result.push_back(integers() ? quantised(value, scale)
                                : static_cast<float>(std::max(0.0, value)));
  }
  return result;
}

std::vector<float> ResidualCase::shifted_input() const {
  const std::size_t plane = height * width;
  std::vector<float> shifted(input.size(), 0.0f);
  for (std::size_t row = 0; row < rows(); ++row) {
    for (std::size_t channel = 0; channel < in_channels; ++channel) {
      const std::ptrdiff_t by = channel < shift.from_next                         ? 1
                                : channel < shift.from_next + shift.from_previous ? -1
                                                                                  : 0;
      const std::ptrdiff_t frame = std::ptrdiff_t(row % frames) + by;
      if (frame >= 0 && frame < std::ptrdiff_t(frames)) {
        const std::size_t source = std::size_t(std::ptrdiff_t(row) + by);
        std::copy_n(input.begin() + std::ptrdiff_t((source * in_channels + channel) * plane), plane,
                    shifted.begin() + std::ptrdiff_t((row * in_channels + channel) * plane));
      }
    }
  }
  return shifted;
}

std::vector<double> ResidualCase::expected() const {
  const std::vector<float> shifted = shifted_input();
  std::size_t h = ceil_div(height, convs[0].stride), w = ceil_div(width, convs[0].stride);
  std::vector<double> y = convolve(convs[0], shifted, height, width);
  if (!policy.empty()) {
    y = reference::fuse(y, policy, clips, frames, mid_channels, h * w);
  }
  for (std::size_t i = 1; i < convs.size(); ++i) {
    y = convolve(convs[i], relu(y, i == 1 ? scales.conv1 : scales.conv2), h, w);
    h = ceil_div(h, convs[i].stride);
    w = ceil_div(w, convs[i].stride);
  }
  const std::vector<double> side =
      projects ? convolve(shortcut, shift_shortcut ? shifted : input, height, width)
               : std::vector<double>(input.begin(), input.end());
  REQUIRE(side.size() == y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = std::max(0.0, y[i] + side[i]);
    y[i] = integers() ? quantised(y[i], scales.output) : y[i];
  }
  return y;
}

double ResidualCase::tolerance() const {
  switch (precision) {
    case Precision::kFloat32:
      return 2e-5;
    case Precision::kBFloat16:
      return 6e-2;
    default:
      return 2.01 * scales.output;
  }
}

}  // namespace adafuse
