// NhwcConv and pool_nhwc() against the operators' definition, in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "layout/compact_nhwc.h"
#include "operators/nhwc_conv.h"
#include "operators/nhwc_pool.h"
#include "tests/close.h"
#include "tests/parallel.h"
#include "tests/reference.h"

namespace adafuse {
namespace {

struct Size {
  std::size_t clips, frames, height, width;
  std::size_t rows() const { return clips * frames; }
};

// Numbers that bfloat16 can hold, so that only sums and results are rounded.
std::vector<float> draw(std::mt19937& random, std::size_t count, float scale, bool positive) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) {
    char stored[sizeof(float)];
    const float number = scale * normal(random);
    encode(Precision::kBFloat16, positive ? std::abs(number) : number, stored, 0);
    value = decode(Precision::kBFloat16, stored, 0);
  }
  return values;
}

std::vector<float> draw_integers(std::mt19937& random, std::size_t count, int least, int most) {
  std::uniform_int_distribution<int> integer(least, most);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(integer(random));
  }
  return values;
}

// Values as feature maps store them.
std::vector<float> draw_stored(std::mt19937& random, std::size_t count, Precision precision) {
  return precision == Precision::kInt8 ? draw_integers(random, count, 0, 255)
                                       : draw(random, count, 1, true);
}

// Some channels of a feature map (rows, channels, plane) and how they are stored.
struct Features {
  std::size_t channels = 0;
  std::vector<std::int32_t> actions;  // none: stored densely
  std::vector<double> raw;            // what keeping everything would give, in stored units

  void decide(std::mt19937& random, const Size& size, int action = -1) {
    std::uniform_int_distribution<std::int32_t> any(0, 2);
    actions.resize(size.rows() * channels);
    for (std::int32_t& chosen : actions) {
      chosen = action < 0 ? any(random) : action;
    }
  }
  std::vector<Policy> policy(const Size& size) const {
    if (actions.empty()) {
      return {};
    }
    return {Policy("policy", actions.data(), size.clips, size.frames, channels)};
  }
  std::vector<double> fused(const Size& size) const {
    return actions.empty() ? raw
                           : reference::fuse(raw, actions, size.clips, size.frames, channels,
                                             size.height * size.width);
  }
};

const Policy* pointer(const std::vector<Policy>& policy) {
  return policy.empty() ? nullptr : policy.data();
}

CompactNhwc order(const Features& features, const Size& size, std::size_t border,
                  Precision precision) {
  CompactNhwc frames;
  const std::vector<Policy> policy = features.policy(size);
  frames.assign(pointer(policy), size.rows(), features.channels,
                {size.height, size.width, border, 0});
  CompactNhwc::order({&frames}, precision, serial);
  return frames;
}

std::size_t room(const Features& features, const Size& size, std::size_t border,
                 Precision precision) {
  const NhwcLayout layout{size.height, size.width, border,
                          channel_pitch(features.channels, precision)};
  return size.rows() * layout.frame_pitch();
}

// Only what is stored is written: everything else is not a number.
void store(const Features& features, const Size& size, std::size_t border, Precision precision,
           char* memory) {
  std::memset(memory, 0xff, room(features, size, border, precision));
  const CompactNhwc frames = order(features, size, border, precision);
  const NhwcLayout& layout = frames.layout();
  for (std::size_t row = 0; row < size.rows(); ++row) {
    char* const frame = memory + frames.offset(row);
    layout.clear_border(frame, 0, size.height);
    const ChannelOrder& channels = frames[row];
    for (std::size_t y = 0; y < size.height; ++y) {
      for (std::size_t x = 0; x < size.width; ++x) {
        char* const pixel = frame + layout.offset(std::ptrdiff_t(y), std::ptrdiff_t(x));
        for (std::size_t place = 0; place < round_up(channels.size(), kr(precision)); ++place) {
          const double value =
              place < channels.size()
                  ? features.raw[((row * features.channels + channels[place]) * size.height + y) *
                                     size.width +
                                 x]
                  : 0;
          encode(precision, static_cast<float>(value), pixel, place);
        }
      }
    }
  }
}

// Integers are the nearest ones, up to ties; false for NaN.
void check_close(double got, double expected, Precision precision) {
  const double relative = precision == Precision::kFloat32 ? 2e-5 : 1e-2;
  CHECK_CLOSE(got, expected,
              (precision == Precision::kInt8 ? 0.501 : relative * (1 + std::abs(expected))));
}

// Compares everything that is stored, the border and the means, which are in units of `scale`.
void check_frames(const Features& expected, const Size& size, std::size_t border,
                  Precision precision, const char* memory, const std::vector<float>& pooled,
                  float scale) {
  const CompactNhwc frames = order(expected, size, border, precision);
  const NhwcLayout& layout = frames.layout();
  const std::size_t plane = size.height * size.width;
  for (std::size_t row = 0; row < size.rows(); ++row) {
    const ChannelOrder& channels = frames[row];
    const char* const frame = memory + frames.offset(row);
    for (std::size_t place = 0; place < channels.size(); ++place) {
      for (std::size_t i = 0; i < plane; ++i) {
        const std::size_t at =
            layout.offset(std::ptrdiff_t(i / size.width), std::ptrdiff_t(i % size.width));
        check_close(decode(precision, frame + at, place),
                    expected.raw[(row * expected.channels + channels[place]) * plane + i],
                    precision);
      }
    }
    for (std::size_t edge = 0; edge < border * layout.row_pitch(); ++edge) {
      CHECK_CLOSE(frame[edge], 0, 0);
      CHECK_CLOSE(frame[layout.frame_pitch() - 1 - edge], 0, 0);
    }
  }
  const std::vector<double> fused = expected.fused(size);
  REQUIRE(pooled.size() * plane == fused.size());
  for (std::size_t i = 0; i < pooled.size(); ++i) {
    double total = 0;
    for (std::size_t p = 0; p < plane; ++p) {
      total += fused[i * plane + p];
    }
    check_close(pooled[i] / scale, total / double(plane), precision);
  }
}

struct ConvCase {
  Precision precision;
  Size size;
  std::size_t kernel = 1, stride = 1, border = 0;
  bool winograd = false;
  std::vector<Features> inputs;
  Features output;
  std::vector<float> weight, bias;
  std::vector<float> weight_scale;  // of integers
  ActivationScales scales;

  void fill(std::mt19937& random) {
    std::size_t channels = 0;
    for (Features& input : inputs) {
      const std::vector<float> values =
          draw_stored(random, size.rows() * input.channels * size.height * size.width, precision);
      input.raw.assign(values.begin(), values.end());
      channels += input.channels;
    }
    const std::size_t taps = channels * kernel * kernel;
    bias = draw(random, output.channels, 0.2f, false);
    if (precision == Precision::kInt8) {
      weight = draw_integers(random, output.channels * taps, -127, 127);
      std::uniform_real_distribution<float> share(0.2f, 2.0f);
      scales = {0.02f * share(random), 0.03f * share(random)};
      for (std::size_t i = 0; i < output.channels; ++i) {
        weight_scale.push_back(share(random) / (73 * std::sqrt(float(taps))));
      }
    } else {
      weight = draw(random, output.channels * taps, std::sqrt(1 / float(taps)), false);
    }
  }

  Size output_size() const {
    return {size.clips, size.frames, (size.height + stride - 1) / stride,
            (size.width + stride - 1) / stride};
  }

  void reference() {
    ConvShape shape;
    shape.frames = size.rows();
    shape.in_height = size.height;
    shape.in_width = size.width;
    shape.out_channels = output.channels;
    shape.kernel_height = shape.kernel_width = kernel;
    shape.stride_y = shape.stride_x = stride;
    shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = kernel / 2;
    std::vector<float> all;
    const std::size_t plane = size.height * size.width;
    for (std::size_t row = 0; row < size.rows(); ++row) {
      for (const Features& input : inputs) {
        const std::vector<double> fused = input.fused(size);
        const std::size_t count = input.channels * plane;
        all.insert(all.end(), fused.begin() + std::ptrdiff_t(row * count),
                   fused.begin() + std::ptrdiff_t((row + 1) * count));
      }
    }
    shape.in_channels = all.size() / (size.rows() * plane);
    std::vector<float> real = weight;
    for (std::size_t i = 0; i < real.size() && !weight_scale.empty(); ++i) {
      real[i] *= weight_scale[i / (real.size() / output.channels)] * scales.input;
    }
    output.raw = reference::convolution(shape, all, real, bias);
    const double most = precision == Precision::kInt8 ? 255 : INFINITY;
    for (double& value : output.raw) {
      value = std::clamp(value / scales.output, 0.0, most);
    }
  }

  std::vector<char> run(const IgemmKernel& kernel_of, const ParallelFor& parallel_for,
                        std::vector<float>& pooled) const {
    const std::size_t input_border = kernel / 2;
    NhwcConvSpec spec{{weight.data(), bias.data(), output.channels,
                       weight.size() / (output.channels * kernel * kernel), kernel * kernel},
                      {},
                      !output.actions.empty(),
                      stride,
                      input_border,
                      border,
                      winograd,
                      scales};
    spec.conv.scale = weight_scale.empty() ? nullptr : weight_scale.data();
    std::vector<AlignedArray<char>> memory(inputs.size());
    std::vector<std::vector<Policy>> policies;
    std::vector<NhwcSource> sources;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      spec.sources.push_back({inputs[i].channels, !inputs[i].actions.empty()});
      store(inputs[i], size, input_border, precision,
            memory[i].reserve(room(inputs[i], size, input_border, precision)));
      policies.push_back(inputs[i].policy(size));
      sources.push_back({memory[i].data(), nullptr});
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      sources[i].policy = pointer(policies[i]);
    }
    const std::size_t bytes = room(output, output_size(), border, precision);
    AlignedArray<char> result;
    result.reserve(bytes);
    std::memset(result.data(), 0xff, bytes);
    pooled.assign(size.rows() * output.channels, NAN);
    const std::vector<Policy> policy = output.policy(size);
    NhwcConv(spec, kernel_of)
        .run(size.rows(), size.height, size.width,
             {sources.data(), pointer(policy), result.data(), pooled.data()}, parallel_for,
             test_workspaces());
    return {result.data(), result.data() + bytes};
  }

  // Every instruction set of this processor against the definition, which is computed once.
  void check() {
    reference();
    for (const IgemmKernel* each : igemm_kernels(precision)) {
      INFO(to_string(each->instruction_set));
      check(*each);
    }
  }

  void check(const IgemmKernel& kernel_of) const {
    std::vector<float> pooled, again;
    const std::vector<char> memory = run(kernel_of, serial, pooled);
    check_frames(output, output_size(), border, precision, memory.data(), pooled, scales.output);
    for (const ParallelFor& parallel_for : {ParallelFor(threaded), nested()}) {
      run(kernel_of, parallel_for, again);
      CHECK(std::memcmp(pooled.data(), again.data(), pooled.size() * sizeof(float)) == 0);
    }
  }
};

std::size_t between(std::mt19937& random, std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random);
}

void convolutions_equal_the_definition(Precision precision) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    ConvCase c;
    c.precision = precision;
    const bool large = i % 20 == 0;  // cut into strips
    c.size = {between(random, 1, 2), between(random, 1, 4), large ? 27 : between(random, 1, 15),
              large ? 23 : between(random, 1, 15)};
    c.kernel = between(random, 0, 1) * 2 + 1;
    c.stride = large ? 1 : between(random, 1, 2);
    c.winograd = between(random, 0, 1) > 0;  // counts where it is possible
    c.border = between(random, 0, 1);
    c.output.channels = between(random, 1, 100);
    c.inputs.resize(between(random, 1, kMaxSources));
    for (Features& input : c.inputs) {
      input.channels = between(random, 1, 40);
      if (between(random, 0, 2) > 0) {
        input.decide(random, c.size);
      }
    }
    if (between(random, 0, 2) > 0) {
      c.output.decide(random, c.size);
    }
    c.fill(random);
    c.check();
  }
}

void convolutions_handle_uniform_policies(Precision precision) {
  std::mt19937 random(2);
  for (const int input : {0, 1, 2}) {
    for (const int output : {0, 1, 2}) {
      ConvCase c;
      c.precision = precision;
      c.size = {2, 3, 5, 4};
      c.kernel = 3;
      c.output.channels = 9;
      c.output.decide(random, c.size, output);
      c.inputs.resize(2);
      for (Features& features : c.inputs) {
        features.channels = 7;
        features.decide(random, c.size, input);
      }
      c.fill(random);
      c.check();
    }
  }
}

void pooling_equals_the_definition(const IgemmKernel& kernel) {
  const Precision precision = kernel.precision;
  std::mt19937 random(3);
  for (int i = 0; i < 150; ++i) {
    const Size size{between(random, 1, 2), between(random, 1, 4), between(random, 2, 15),
                    between(random, 2, 15)};
    NhwcPool pool{between(random, 0, 1) ? NhwcPool::Kind::kMax : NhwcPool::Kind::kMean,
                  between(random, 1, 2),
                  1,
                  false,
                  between(random, 0, 1),
                  between(random, 0, 1),
                  &kernel};
    if (precision == Precision::kInt8) {
      std::uniform_real_distribution<float> scale(0.01f, 0.02f);
      pool.scales.input = scale(random);
      pool.scales.output = i % 4 ? scale(random) : pool.scales.input;
    }
    const double factor = pool.scales.input / pool.scales.output;
    const double limit = precision == Precision::kInt8 ? 255 : INFINITY;
    if (pool.stride == 2) {
      pool.pad = between(random, 0, 1);
      pool.ceil = pool.kind == NhwcPool::Kind::kMax && between(random, 0, 1);
    }
    const Size small{size.clips, size.frames, pool.output_size(size.height),
                     pool.output_size(size.width)};
    if (small.height * small.width == 0) {
      continue;
    }
    Features input, output;
    input.channels = output.channels = between(random, 1, 40);
    const std::vector<float> values =
        draw_stored(random, size.rows() * input.channels * size.height * size.width, precision);
    input.raw.assign(values.begin(), values.end());
    const int uniform = i % 7 < 3 ? i % 7 : -1;
    if (i % 3) {
      input.decide(random, size, uniform);
    }
    const bool decides = between(random, 0, 1);
    if (decides) {
      output.decide(random, size, i % 5 < 3 ? i % 5 : -1);
    } else {
      output.actions = input.actions;
    }
    const std::vector<double> seen = decides ? input.fused(size) : input.raw;
    for (std::size_t plane = 0; plane < size.rows() * input.channels; ++plane) {
      for (std::size_t y = 0; y < small.height; ++y) {
        for (std::size_t x = 0; x < small.width; ++x) {
          double most = 0, total = 0;
          for (std::size_t k = 0; k < 9; ++k) {
            const std::size_t from_y = y * pool.stride + k / 3 - pool.pad;
            const std::size_t from_x = x * pool.stride + k % 3 - pool.pad;
            if (from_y < size.height && from_x < size.width) {
              const double value = seen[(plane * size.height + from_y) * size.width + from_x];
              most = std::max(most, value);
              total += value;
            }
          }
          const double pooled = pool.kind == NhwcPool::Kind::kMax ? most : total / 9;
          output.raw.push_back(std::min(limit, factor * pooled));
        }
      }
    }
    AlignedArray<char> from, to;
    store(input, size, pool.input_border, precision,
          from.reserve(room(input, size, pool.input_border, precision)));
    for (const ParallelFor& parallel_for : {ParallelFor(serial), ParallelFor(threaded), nested()}) {
      const std::size_t bytes = room(output, small, pool.border, precision);
      std::memset(to.reserve(bytes), 0xff, bytes);
      std::vector<float> pooled(size.rows() * input.channels, NAN);
      const std::vector<Policy> policy = input.policy(size), decisions = output.policy(size);
      pool_nhwc(pool, size.rows(), size.height, size.width, input.channels,
                {from.data(), pointer(policy), decides ? pointer(decisions) : nullptr, to.data(),
                 pooled.data()},
                parallel_for, test_workspaces());
      check_frames(output, small, pool.border, precision, to.data(), pooled, pool.scales.output);
    }
  }
}

}  // namespace
}  // namespace adafuse

TEST_CASE("convolutions and pooling on NHWC") {
  using namespace adafuse;
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    INFO(value_bytes(precision), " bytes a value");
    convolutions_equal_the_definition(precision);
    convolutions_handle_uniform_policies(precision);
    for (const IgemmKernel* kernel : igemm_kernels(precision)) {
      INFO(to_string(kernel->instruction_set));
      pooling_equals_the_definition(*kernel);
    }
  }
}
