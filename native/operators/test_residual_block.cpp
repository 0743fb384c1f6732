// Fused residual blocks on every instruction set of this processor against the definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "layout/nchw_to_nhwc.h"
#include "operators/residual_block.h"
#include "tests/close.h"
#include "tests/parallel.h"
#include "tests/reference.h"

using namespace adafuse;

namespace {

struct Conv {
  std::size_t outputs, inputs, kernel, stride;
  std::vector<float> weight, bias, scale;  // scale: empty for one

  ConvWeights weights() const {
    return {weight.data(), bias.data(),     outputs,
            inputs,        kernel * kernel, scale.empty() ? nullptr : scale.data()};
  }

  // As they lie in a file, read where they are; `panels` takes them.
  ConvWeights lasting(AlignedArray<float>& panels, bool by_panels) const {
    ConvWeights result = weights();
    result.lasting = true;
    const std::size_t taps = kernel * kernel;
    const std::size_t count = (outputs + kStoredPanel - 1) / kStoredPanel;
    const std::size_t size = by_panels ? count * taps * inputs * kStoredPanel : weight.size();
    float* const to = panels.reserve(size);
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

  // Values that the stored weights stand for.
  std::vector<float> values() const {
    std::vector<float> result = weight;
    const std::size_t size = inputs * kernel * kernel;
    for (std::size_t i = 0; !scale.empty() && i < result.size(); ++i) {
      result[i] *= scale[i / size];
    }
    return result;
  }
};

struct Result {
  std::vector<float> output;  // (rows, channels, height, width)
  std::vector<float> pooled;  // (rows, channels)
};

struct Case {
  Precision precision = Precision::kFloat32;
  bool bottleneck = true;
  std::size_t clips = 1, frames = 1, height = 1, width = 1;
  std::size_t in_channels = 1, mid_channels = 1, out_channels = 1, stride = 1;
  bool projects = false;
  TemporalShift shift;
  bool winograd = false;
  bool shift_shortcut = true;
  bool lasting = false;              // weights are read where they lie
  bool as_streams = false;           // clips are run frame by frame
  std::vector<std::int32_t> policy;  // empty: none
  std::vector<float> input;          // (rows, channels, height, width)
  std::vector<Conv> convs;
  Conv shortcut;
  ResidualBlockScales scales;

  bool integers() const { return precision == Precision::kInt8; }
  std::size_t rows() const { return clips * frames; }

  // Numbers that the precision can hold, so that only sums and results are rounded.
  void fill(std::mt19937& random) {
    std::normal_distribution<float> normal;
    const auto draw = [&](std::vector<float>& values, std::size_t size, float scale) {
      values.resize(size);
      std::generate(values.begin(), values.end(), [&] {
        char stored[sizeof(float)];
        encode(Precision::kBFloat16, scale * normal(random), stored, 0);
        return decode(Precision::kBFloat16, stored, 0);
      });
    };
    const auto conv = [&](std::size_t outputs, std::size_t inputs, std::size_t kernel,
                          std::size_t strides) {
      Conv c{outputs, inputs, kernel, strides, {}, {}, {}};
      const std::size_t taps = inputs * kernel * kernel;
      const float size = std::sqrt(2.0f / static_cast<float>(taps + 1));
      draw(c.weight, outputs * taps, integers() ? 40 : size);
      draw(c.bias, outputs, 0.2f);
      for (float& weight : c.weight) {
        weight = integers() ? std::nearbyint(std::clamp(weight, -127.0f, 127.0f)) : weight;
      }
      for (std::size_t i = 0; integers() && i < outputs; ++i) {
        c.scale.push_back(size / 40 * (1 + 0.1f * normal(random)));
      }
      return c;
    };
    draw(input, rows() * in_channels * height * width, 1);
    if (integers()) {
      scales = {0.01f, 0.012f, 0.013f, 0.014f};
      for (float& value : input) {
        value = quantised(std::abs(value), scales.input);
      }
    }
    convs.clear();
    if (bottleneck) {
      convs.push_back(conv(mid_channels, in_channels, 1, 1));
      convs.push_back(conv(mid_channels, mid_channels, 3, stride));
      convs.push_back(conv(out_channels, mid_channels, 1, 1));
    } else {
      convs.push_back(conv(mid_channels, in_channels, 3, stride));
      convs.push_back(conv(out_channels, mid_channels, 3, 1));
    }
    shortcut = conv(out_channels, in_channels, 1, stride);
  }

  // The value nearest to one that 8 bits hold.
  static float quantised(double value, float scale) {
    return scale * static_cast<float>(std::nearbyint(std::clamp(value / scale, 0.0, 255.0)));
  }

  void draw_policy(std::mt19937& random) {
    std::uniform_int_distribution<int> percent(0, 100);
    const int keep = percent(random);
    const int reuse = std::uniform_int_distribution<int>(keep, 100)(random);
    policy.resize(rows() * mid_channels);
    for (std::int32_t& action : policy) {
      const int draw = percent(random);
      action = draw < keep ? 0 : draw < reuse ? 1 : 2;
    }
  }

  ResidualBlock block(const IgemmKernel& kernel, AlignedArray<float> (&memory)[4]) const {
    const auto given = [&](const Conv& conv, std::size_t index) {
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

  Result run(const IgemmKernel& kernel, const ParallelFor& parallel_for = serial,
             bool in_place = false) const {
    AlignedArray<float> memory[4];
    const ResidualBlock fused = block(kernel, memory);
    const NhwcLayout in = fused.input_layout(height, width);
    const NhwcLayout out = fused.output_layout(height, width);
    // Not a number wherever nothing is written.
    const char nan = static_cast<char>(0xff);
    std::vector<char> x(rows() * in.frame_pitch(), nan), y(rows() * out.frame_pitch(), nan);
    std::vector<float> ignored(rows() * in_channels);
    nchw_to_nhwc(input.data(), rows(), in_channels, in, kernel.precision, scales.input, x.data(),
                 ignored.data(), serial);
    Result result;
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
                test_workspaces());
    }
    for (std::size_t row = 0; row < rows(); ++row) {
      const char* frame = target.data() + row * out.frame_pitch();
      check_border(frame, out, kernel.precision);
      for (std::size_t c = 0; c < out_channels; ++c) {
        for (std::size_t y = 0; y < out.height; ++y) {
          for (std::size_t x = 0; x < out.width; ++x) {
            const char* pixel = frame + out.offset(std::ptrdiff_t(y), std::ptrdiff_t(x));
            result.output.push_back(scales.output * decode(kernel.precision, pixel, c));
          }
        }
      }
    }
    return result;
  }

  void run_streams(const ResidualBlock& fused, const ResidualBlockTensors& all,
                   const ParallelFor& parallel_for) const {
    const std::size_t in = fused.input_layout(height, width).frame_pitch();
    const std::size_t out = fused.output_layout(height, width).frame_pitch();
    const std::size_t between = fused.history_layout(height, width).frame_pitch();
    const char nan = static_cast<char>(0xff);  // what precedes a first frame is not read
    std::vector<char> x(clips * in), y(clips * out), previous(clips * in, nan);
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
      std::vector<char> next(clips * between, nan);
      std::vector<std::int32_t> next_missing(clips * mid_channels, -1);
      fused.run_streams(
          clips, height, width, {x.data(), y.data(), pooled.data()},
          {previous.data(), convolution.data(), missing.data(), next.data(), next_missing.data()},
          now, parallel_for, test_workspaces());
      for (std::size_t n = 0; n < clips; ++n) {
        const std::size_t row = n * frames + t;
        std::copy_n(y.data() + n * out, out, all.output + row * out);
        std::copy_n(pooled.data() + n * out_channels, out_channels,
                    all.pooled + row * out_channels);
      }
      previous = x;
      convolution = next;
      missing = next_missing;
    }
  }

  void check_border(const char* frame, const NhwcLayout& layout, Precision precision) const {
    for (std::size_t y = 0; y < layout.height + 2 * layout.border; ++y) {
      for (std::size_t x = 0; x < layout.width + 2 * layout.border; ++x) {
        const bool inside = y >= layout.border && y < layout.height + layout.border &&
                            x >= layout.border && x < layout.width + layout.border;
        for (std::size_t c = 0; !inside && c < out_channels; ++c) {
          CHECK_CLOSE(decode(precision, frame + y * layout.row_pitch() + x * layout.pitch, c), 0,
                      0);
        }
      }
    }
  }

  // (rows, channels, plane) in double precision.
  std::vector<double> expected() const {
    const auto convolve = [&](const Conv& conv, const std::vector<float>& x, std::size_t h,
                              std::size_t w) {
      ConvShape shape;
      shape.frames = rows();
      shape.in_channels = conv.inputs;
      shape.in_height = h;
      shape.in_width = w;
      shape.out_channels = conv.outputs;
      shape.kernel_height = shape.kernel_width = conv.kernel;
      shape.stride_y = shape.stride_x = conv.stride;
      shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = conv.kernel / 2;
      return reference::convolution(shape, x, conv.values(), conv.bias);
    };
    const auto relu = [&](const std::vector<double>& values, float scale) {
      std::vector<float> result;
      for (const double value : values) {
        result.push_back(integers() ? quantised(value, scale)
                                    : static_cast<float>(std::max(0.0, value)));
      }
      return result;
    };
    const std::size_t plane = height * width;
    std::vector<float> shifted(input.size(), 0.0f);
    for (std::size_t row = 0; row < rows(); ++row) {
      for (std::size_t c = 0; c < in_channels; ++c) {
        const std::ptrdiff_t by = c < shift.from_next                         ? 1
                                  : c < shift.from_next + shift.from_previous ? -1
                                                                              : 0;
        const std::ptrdiff_t frame = std::ptrdiff_t(row % frames) + by;
        if (frame >= 0 && frame < std::ptrdiff_t(frames)) {
          const std::size_t source = std::size_t(std::ptrdiff_t(row) + by);
          std::copy_n(input.begin() + std::ptrdiff_t((source * in_channels + c) * plane), plane,
                      shifted.begin() + std::ptrdiff_t((row * in_channels + c) * plane));
        }
      }
    }
    const auto strided = [](std::size_t size, std::size_t by) { return (size + by - 1) / by; };
    std::size_t h = strided(height, convs[0].stride), w = strided(width, convs[0].stride);
    std::vector<double> y = convolve(convs[0], shifted, height, width);
    if (!policy.empty()) {
      y = reference::fuse(y, policy, clips, frames, mid_channels, h * w);
    }
    for (std::size_t i = 1; i < convs.size(); ++i) {
      y = convolve(convs[i], relu(y, i == 1 ? scales.conv1 : scales.conv2), h, w);
      h = strided(h, convs[i].stride);
      w = strided(w, convs[i].stride);
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
};

Case random_case(std::mt19937& random, Precision precision) {
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  Case c;
  c.precision = precision;
  c.bottleneck = between(0, 1) > 0;
  c.clips = between(1, 2);
  c.frames = between(1, 4);
  c.height = between(1, 24);
  c.width = between(1, 24);
  c.in_channels = between(1, 70);
  c.mid_channels = between(1, 70);
  c.projects = between(0, 1) > 0;
  c.stride = c.projects ? between(1, 3) : 1;
  c.out_channels = c.projects ? between(1, 100) : c.in_channels;
  if (between(0, 2) > 0) {
    c.shift.from_next = between(0, c.in_channels / 2);
    c.shift.from_previous = between(0, c.in_channels - c.shift.from_next);
  }
  c.fill(random);
  if (between(0, 3) > 0) {
    c.draw_policy(random);
  }
  c.shift_shortcut = between(0, 1) > 0;
  c.winograd = precision == Precision::kFloat32 && between(0, 1) > 0;
  c.lasting = precision == Precision::kFloat32 && between(0, 1) > 0;
  return c;
}

// Cut into strips, with more than one row in each.
Case large_case(std::mt19937& random, Precision precision) {
  Case c;
  c.precision = precision;
  c.frames = 3;
  c.height = 31;
  c.width = 29;
  c.in_channels = c.out_channels = 40;
  c.mid_channels = 34;
  c.shift = {5, 5};
  c.fill(random);
  c.draw_policy(random);
  return c;
}

// Values are of the order of one; bfloat16 has 8 bits and rounds between all convolutions. Integers
// differ only where float32 and double round a tie differently, and what follows from that.
double tolerance(const Case& c) {
  switch (c.precision) {
    case Precision::kFloat32:
      return 2e-5;
    case Precision::kBFloat16:
      return 6e-2;
    default:
      return 2.01 * c.scales.output;
  }
}

void check_result(const Case& c, const std::vector<double>& expected, const IgemmKernel& kernel) {
  INFO(to_string(kernel.instruction_set));
  const Result result = c.run(kernel);
  const double most = tolerance(c);
  REQUIRE(result.output.size() == expected.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK_CLOSE(result.output[i], expected[i], most);
    different += std::abs(result.output[i] - expected[i]) > 1e-4;
  }
  CHECK((!c.integers() || different <= 1 + expected.size() / 50));
  const std::size_t plane = expected.size() / result.pooled.size();
  for (std::size_t i = 0; i < result.pooled.size(); ++i) {
    double sum = 0;
    for (std::size_t p = 0; p < plane; ++p) {
      sum += expected[i * plane + p];
    }
    CHECK(std::abs(result.pooled[i] - sum / double(plane)) <= most);
  }
}

// Every instruction set of this processor against the definition, which is computed once.
void check_result(const Case& c) {
  const std::vector<double> expected = c.expected();
  for (const IgemmKernel* kernel : igemm_kernels(c.precision)) {
    check_result(c, expected, *kernel);
  }
}

void equals_the_definition(Precision precision) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    check_result(random_case(random, precision));
  }
  Case c = large_case(random, precision);
  check_result(c);
  c.lasting = c.precision == Precision::kFloat32;
  c.in_channels = c.out_channels = 48;  // whole cache lines, which can stay where they are
  c.fill(random);
  check_result(c);
}

void equals_the_definition_by_winograd() {
  std::mt19937 random(7);
  Case c = large_case(random, Precision::kFloat32);
  c.winograd = true;
  check_result(c);
  c.bottleneck = false;
  c.fill(random);
  check_result(c);
  // So wide that one row of patches fills the cache, so many frames that a task has several rows.
  c.clips = 16;
  c.frames = 1;
  c.height = 9;
  c.width = 80;
  c.in_channels = c.out_channels = 2;
  c.mid_channels = 100;
  c.shift = {};
  c.fill(random);
  c.policy.clear();
  check_result(c);
}

void streams_equal_clips(Precision precision) {
  std::mt19937 random(9);
  for (int i = 0; i < 30; ++i) {
    Case c = i == 0 ? large_case(random, precision) : random_case(random, precision);
    c.shift = {};
    c.draw_policy(random);
    c.as_streams = true;
    check_result(c);
  }
}

void handles_every_width_and_number_of_channels(Precision precision) {
  std::mt19937 random(2);
  for (std::size_t size = 1; size <= 66; ++size) {
    Case c;
    c.precision = precision;
    c.bottleneck = size % 2 == 0;
    c.frames = 2;
    c.height = 2;
    c.width = size % 31 + 1;
    c.in_channels = c.mid_channels = c.out_channels = size;
    c.fill(random);
    c.draw_policy(random);
    check_result(c);
  }
}

void handles_uniform_policies(Precision precision) {
  std::mt19937 random(3);
  for (const std::int32_t action : {0, 1, 2}) {
    for (const std::size_t frames : {1, 4}) {
      for (const bool bottleneck : {false, true}) {
        Case c;
        c.precision = precision;
        c.bottleneck = bottleneck;
        c.clips = 2;
        c.frames = frames;
        c.height = c.width = 7;
        c.in_channels = c.out_channels = 12;
        c.mid_channels = 9;
        c.fill(random);
        c.policy.assign(c.rows() * c.mid_channels, action);
        check_result(c);
      }
    }
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void does_not_depend_on_threads_or_place(const IgemmKernel& kernel) {
  std::mt19937 random(4);
  for (const bool bottleneck : {false, true}) {
    for (const std::size_t size : {7, 31}) {
      for (const bool winograd : {false, kernel.precision == Precision::kFloat32}) {
        Case c = large_case(random, kernel.precision);
        c.projects = size == 7;
        c.bottleneck = bottleneck;
        c.winograd = winograd;
        c.height = c.width = size;
        c.fill(random);
        const Result expected = c.run(kernel);
        for (const bool in_place : {false, true}) {
          const Result result = c.run(kernel, threaded, in_place);
          CHECK(same_bits(result.output, expected.output));
          CHECK(same_bits(result.pooled, expected.pooled));
        }
        // Another run of other sizes on a thread that is in the middle of this one, and two at
        // once.
        Case other = large_case(random, kernel.precision);
        other.height = other.width = 38 - size;
        other.frames = 2;
        other.fill(random);
        const Result expected_other = other.run(kernel);
        std::size_t turn = 0;
        const Result result =
            c.run(kernel, nested([&] {
                    if (++turn % 9 == 0) {
                      CHECK(same_bits(other.run(kernel).output, expected_other.output));
                    }
                  }));
        CHECK(same_bits(result.output, expected.output));
        std::thread beside(
            [&] { CHECK(same_bits(other.run(kernel).pooled, expected_other.pooled)); });
        CHECK(same_bits(c.run(kernel).pooled, expected.pooled));
        beside.join();
      }
    }
  }
}

// Counts what a block asks of a micro-kernel.
std::atomic<std::size_t> counted_macs;
const IgemmKernel* counted_kernel;

void computes_only_what_is_needed(const IgemmKernel& kernel, bool as_streams) {
  counted_kernel = &kernel;
  counted_macs = 0;
  IgemmKernel counting = kernel;
  counting.run = [](const TileSize& size, const GemmTerm* segments, std::size_t count,
                    const EpiloguePerChannel& channels, const TileOutput& output) {
    for (std::size_t i = 0; i < count; ++i) {
      counted_macs += size.pixels * size.groups * round_up(size.channels, counted_kernel->nr_step) *
                      segments[i].depth * kr(counted_kernel->precision);
    }
    counted_kernel->run(size, segments, count, channels, output);
  };
  std::mt19937 random(5);
  Case c;
  c.precision = kernel.precision;
  c.as_streams = as_streams;
  c.frames = 4;
  c.height = c.width = 14;
  c.in_channels = c.out_channels = 64;  // whole vectors on every instruction set
  c.mid_channels = 32;
  c.fill(random);
  c.draw_policy(random);
  c.run(counting);

  const Policy policy("policy", c.policy.data(), c.clips, c.frames, c.mid_channels);
  const std::size_t plane = c.height * c.width;
  std::size_t conv1 = 0, conv3 = 0, conv2 = 0, conv2_most = 0;
  for (std::size_t row = 0; row < c.rows(); ++row) {
    std::size_t computed = 0, late = 0, read = 0;
    for (std::size_t channel = 0; channel < c.mid_channels; ++channel) {
      const bool only_lends = policy.lends(row, channel) && !policy.keeps(row, channel);
      (as_streams && only_lends ? late : computed) += policy.computes(row, channel);
      read += !policy.clears(row, channel);
    }
    // Two runs of channels, whose four ends are rounded to units.
    const std::size_t rounding = 4 * (kr(kernel.precision) - 1);
    conv1 += (round_up(computed, kernel.nr_step) + round_up(late, kernel.nr_step)) * c.in_channels *
             plane;
    conv2 += read * 9 * c.mid_channels * plane;
    // Kernels that take chunks read whole ones in each row of the convolution's kernel.
    conv2_most += 3 * round_up(3 * (read + rounding), kernel.k_block * kr(kernel.precision)) *
                  c.mid_channels * plane;
    conv3 += c.mid_channels * c.out_channels * plane;
  }
  // Kernel rows in the border above and below are left out of conv2.
  CHECK(counted_macs > conv1 + conv3 + conv2 * 9 / 10);
  CHECK(counted_macs <= conv1 + conv3 + conv2_most);
}

}  // namespace

TEST_CASE("residual blocks") {
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    INFO(value_bytes(precision), " bytes a value");
    equals_the_definition(precision);
    streams_equal_clips(precision);
    handles_every_width_and_number_of_channels(precision);
    handles_uniform_policies(precision);
    for (const IgemmKernel* kernel : igemm_kernels(precision)) {
      INFO(to_string(kernel->instruction_set));
      does_not_depend_on_threads_or_place(*kernel);
      computes_only_what_is_needed(*kernel, false);
      computes_only_what_is_needed(*kernel, true);
    }
  }
  equals_the_definition_by_winograd();
}
