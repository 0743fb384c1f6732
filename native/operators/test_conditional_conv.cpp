// The conditional convolution on every instruction set of this processor against the definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "operators/conditional_conv.h"
#include "tests/close.h"
#include "tests/counting.h"
#include "tests/parallel.h"
#include "tests/reference.h"

using namespace adafuse;

namespace {

struct Case {
  ConvShape shape;
  std::size_t clips = 1;
  std::size_t frames = 1;
  std::vector<float> input, weight, bias;
  std::vector<std::int32_t> policy, input_policy;  // empty: none

  // Draws values in [-1, 1]; the shape must be complete but for `frames`.
  void fill(std::mt19937& random) {
    shape.frames = clips * frames;
    std::uniform_real_distribution<float> value(-1, 1);
    const auto draw = [&](std::vector<float>& values, std::size_t size) {
      values.resize(size);
      std::generate(values.begin(), values.end(), [&] { return value(random); });
    };
    draw(input, shape.frames * shape.in_channels * shape.in_plane());
    draw(weight, shape.out_channels * shape.in_channels * shape.taps());
    draw(bias, shape.out_channels);
  }

  // Fills the input channels that the input policy clears.
  void clear_input(float with) {
    const Policy view("input_policy", input_policy.data(), clips, frames, shape.in_channels);
    for (std::size_t row = 0; row < shape.frames; ++row) {
      for (std::size_t channel = 0; channel < shape.in_channels; ++channel) {
        if (view.clears(row, channel)) {
          std::fill_n(input.begin() + (row * shape.in_channels + channel) * shape.in_plane(),
                      shape.in_plane(), with);
        }
      }
    }
  }

  std::vector<float> run(const GemmKernel& kernel, const ParallelFor& parallel_for = serial) const {
    // Not a number wherever nothing is written.
    std::vector<float> output(shape.frames * shape.out_channels * shape.out_plane(),
                              std::numeric_limits<float>::quiet_NaN());
    std::optional<Policy> out, in;
    if (!policy.empty()) {
      out.emplace("policy", policy.data(), clips, frames, shape.out_channels);
    }
    if (!input_policy.empty()) {
      in.emplace("input_policy", input_policy.data(), clips, frames, shape.in_channels);
    }
    conditional_conv(shape, {input.data(), weight.data(), bias.data(), output.data()},
                     out ? &*out : nullptr, in ? &*in : nullptr, parallel_for, test_workspaces(),
                     kernel);
    return output;
  }

  std::vector<double> expected() const {
    const std::vector<double> raw = reference::convolution(shape, input, weight, bias);
    return policy.empty()
               ? raw
               : reference::fuse(raw, policy, clips, frames, shape.out_channels, shape.out_plane());
  }

  // All terms are at most 1, so rounding errors are at most in the order of their number.
  double tolerance() const { return 1e-7 * double(shape.in_channels * shape.taps() + 1); }
};

std::vector<std::int32_t> random_policy(std::mt19937& random, std::size_t size) {
  std::uniform_int_distribution<int> percent(0, 100);
  const int keep = percent(random);
  const int reuse = std::uniform_int_distribution<int>(keep, 100)(random);
  std::vector<std::int32_t> policy(size);
  for (std::int32_t& action : policy) {
    const int draw = percent(random);
    action = draw < keep ? 0 : draw < reuse ? 1 : 2;
  }
  return policy;
}

Case random_case(std::mt19937& random) {
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  Case c;
  c.clips = between(1, 3);
  c.frames = between(1, 5);
  ConvShape& s = c.shape;
  s.in_channels = between(0, 40);
  s.out_channels = between(1, 40);
  s.kernel_height = between(1, 5);
  s.kernel_width = between(1, 5);
  s.in_height = between(s.kernel_height, 20);
  s.in_width = between(s.kernel_width, 20);
  s.stride_y = between(1, 3);
  s.stride_x = between(1, 3);
  if (between(0, 2) > 0) {
    s.pad_top = between(0, 4);
    s.pad_left = between(0, 4);
    s.pad_bottom = between(0, 4);
    s.pad_right = between(0, 4);
  }
  c.fill(random);
  if (between(0, 3) > 0) {
    c.policy = random_policy(random, s.frames * s.out_channels);
  }
  if (between(0, 1) > 0) {
    c.input_policy = random_policy(random, s.frames * s.in_channels);
    c.clear_input(0);
  }
  return c;
}

// Larger than a tile in pixels, channels and depth.
Case large_case(std::mt19937& random) {
  Case c;
  c.frames = 2;
  c.shape.in_channels = 70;
  c.shape.out_channels = 150;
  c.shape.kernel_height = c.shape.kernel_width = 3;
  c.shape.in_height = c.shape.in_width = 23;
  c.shape.pad_top = c.shape.pad_left = c.shape.pad_bottom = c.shape.pad_right = 1;
  c.fill(random);
  c.policy = random_policy(random, c.shape.frames * c.shape.out_channels);
  return c;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_result(const Case& c, const GemmKernel& kernel) {
  const std::vector<float> output = c.run(kernel);
  const std::vector<double> expected = c.expected();
  REQUIRE(output.size() == expected.size());
  for (std::size_t i = 0; i < output.size(); ++i) {
    CHECK_CLOSE(output[i], expected[i], c.tolerance());
  }
}

void equals_the_definition(const GemmKernel& kernel) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    check_result(random_case(random), kernel);
  }
  check_result(large_case(random), kernel);
}

void handles_every_number_of_channels_and_pixels(const GemmKernel& kernel) {
  std::mt19937 random(2);
  for (std::size_t size = 1; size <= 100; ++size) {
    Case c;
    c.shape.in_channels = 3;
    c.shape.out_channels = size % 20;
    c.shape.in_height = 1;
    c.shape.in_width = size;
    c.fill(random);
    check_result(c, kernel);
  }
}

void handles_uniform_policies(const GemmKernel& kernel) {
  std::mt19937 random(3);
  for (const std::int32_t action : {0, 1, 2}) {
    for (const std::size_t frames : {1, 4}) {
      Case c;
      c.clips = 2;
      c.frames = frames;
      c.shape.in_channels = 5;
      c.shape.out_channels = 11;
      c.shape.in_height = c.shape.in_width = 7;
      c.fill(random);
      c.policy.assign(c.shape.frames * c.shape.out_channels, action);
      c.input_policy.assign(c.shape.frames * c.shape.in_channels, action);
      c.clear_input(0);
      check_result(c, kernel);
    }
  }
}

void handles_nothing(const GemmKernel& kernel) {
  Case c;
  c.clips = 0;
  c.shape.in_channels = c.shape.out_channels = c.shape.in_height = c.shape.in_width = 3;
  CHECK(c.run(kernel).empty());
}

void does_not_read_cleared_channels(const GemmKernel& kernel) {
  std::mt19937 random(4);
  Case c = large_case(random);
  c.input_policy = random_policy(random, c.shape.frames * c.shape.in_channels);
  c.clear_input(0);
  const std::vector<float> expected = c.run(kernel);
  c.clear_input(std::numeric_limits<float>::quiet_NaN());
  CHECK(same_bits(c.run(kernel), expected));
}

void does_not_depend_on_threads(const GemmKernel& kernel) {
  std::mt19937 random(5);
  const Case c = large_case(random);
  CHECK(same_bits(c.run(kernel, serial), c.run(kernel, threaded)));
  CHECK(same_bits(c.run(kernel, serial), c.run(kernel, nested())));
}

void computes_only_what_is_needed(const GemmKernel& kernel) {
  const GemmKernel counting = count_macs(kernel);
  std::mt19937 random(6);
  Case c;
  c.frames = 4;
  c.shape.in_channels = 33;
  c.shape.out_channels = 45;
  c.shape.in_height = 4;
  c.shape.in_width = 12;  // whole vectors on every instruction set
  c.fill(random);
  c.policy = random_policy(random, c.shape.frames * c.shape.out_channels);
  c.input_policy = random_policy(random, c.shape.frames * c.shape.in_channels);
  c.clear_input(0);
  c.run(counting);

  const Policy policy("policy", c.policy.data(), c.clips, c.frames, c.shape.out_channels);
  const Policy input("input", c.input_policy.data(), c.clips, c.frames, c.shape.in_channels);
  std::size_t needed = 0;
  for (std::size_t row = 0; row < c.shape.frames; ++row) {
    std::size_t computed = 0, read = 0;
    for (std::size_t channel = 0; channel < c.shape.out_channels; ++channel) {
      computed += policy.computes(row, channel);
    }
    for (std::size_t channel = 0; channel < c.shape.in_channels; ++channel) {
      read += !input.clears(row, channel);
    }
    needed += computed * read * c.shape.out_plane();
  }
  CHECK(needed > 0);
  CHECK(counted_macs == needed);
}

}  // namespace

TEST_CASE("conditional convolutions on NCHW") {
  for (const GemmKernel* kernel : gemm_kernels()) {
    INFO(to_string(kernel->instruction_set));
    equals_the_definition(*kernel);
    handles_every_number_of_channels_and_pixels(*kernel);
    handles_uniform_policies(*kernel);
    handles_nothing(*kernel);
    does_not_read_cleared_channels(*kernel);
    does_not_depend_on_threads(*kernel);
    computes_only_what_is_needed(*kernel);
  }
}
