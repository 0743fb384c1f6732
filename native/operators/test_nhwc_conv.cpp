// NhwcConv on every instruction set of this processor against the definition, in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "operators/feature_map.h"
#include "operators/nhwc_conv.h"
#include "tests/parallel.h"
#include "tests/reference.h"

namespace adafuse {
namespace {

struct ConvCase {
  Precision precision;
  VideoSize size;
  std::size_t kernel = 1, stride = 1, border = 0;
  bool winograd = false;
  std::vector<FeatureMap> inputs;
  FeatureMap output;
  std::vector<float> weight, bias;
  std::vector<float> weight_scale;  // of integers
  ActivationScales scales;

  void fill(std::mt19937& random) {
    std::size_t channels = 0;
    for (FeatureMap& input : inputs) {
      const std::vector<float> values =
          draw_stored(random, size.rows() * input.channels * size.plane(), precision);
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

  VideoSize output_size() const {
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
    const std::size_t plane = size.plane();
    for (std::size_t row = 0; row < size.rows(); ++row) {
      for (const FeatureMap& input : inputs) {
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
      inputs[i].store(size, input_border, precision,
                      memory[i].reserve(inputs[i].bytes(size, input_border, precision)));
      policies.push_back(inputs[i].policy(size));
      sources.push_back({memory[i].data(), nullptr});
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      sources[i].policy = pointer(policies[i]);
    }
    const std::size_t bytes = output.bytes(output_size(), border, precision);
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
    output.check(output_size(), border, precision, memory.data(), pooled, scales.output);
    for (const ParallelFor& parallel_for : {ParallelFor(threaded), nested()}) {
      run(kernel_of, parallel_for, again);
      CHECK(std::memcmp(pooled.data(), again.data(), pooled.size() * sizeof(float)) == 0);
    }
  }
};

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
    for (FeatureMap& input : c.inputs) {
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
      for (FeatureMap& features : c.inputs) {
        features.channels = 7;
        features.decide(random, c.size, input);
      }
      c.fill(random);
      c.check();
    }
  }
}

}  // namespace
}  // namespace adafuse

TEST_CASE("convolutions on NHWC") {
  using namespace adafuse;
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    INFO(value_bytes(precision), " bytes a value");
    convolutions_equal_the_definition(precision);
    convolutions_handle_uniform_policies(precision);
  }
}
