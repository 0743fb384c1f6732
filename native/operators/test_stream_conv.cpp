// Streams frame by frame against one clip of all frames: the same values for the same work.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "operators/conditional_conv.h"
#include "operators/stream_conv.h"
#include "tests/close.h"
#include "tests/counting.h"
#include "tests/parallel.h"
#include "tests/reference.h"

using namespace adafuse;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A video of every stream, as clips (streams, frames, ...).
struct Video {
  std::size_t streams, frames;
  ConvShape shape;  // one frame of each stream
  std::vector<float> input, weight, bias;
  std::vector<std::int32_t> policy, input_policy;  // no input policy: empty

  Video(std::mt19937& random, std::size_t streams, std::size_t frames, const ConvShape& sizes,
        bool promises)
      : streams(streams), frames(frames), shape(sizes) {
    shape.frames = streams;
    std::uniform_real_distribution<float> value(-1, 1);
    const auto draw = [&](std::vector<float>& values, std::size_t size) {
      values.resize(size);
      std::generate(values.begin(), values.end(), [&] { return value(random); });
    };
    const std::size_t rows = streams * frames;
    draw(input, rows * shape.in_channels * shape.in_plane());
    draw(weight, shape.out_channels * shape.in_channels * shape.taps());
    draw(bias, shape.out_channels);
    std::uniform_int_distribution<std::int32_t> action(0, 2);
    policy.resize(rows * shape.out_channels);
    std::generate(policy.begin(), policy.end(), [&] { return action(random); });
    if (promises) {
      // Keep and skip only: what a stream promises of its first frame, a clip promises too.
      input_policy.resize(rows * shape.in_channels);
      for (std::size_t i = 0; i < input_policy.size(); ++i) {
        input_policy[i] = action(random) == 0 ? 2 : 0;
        if (input_policy[i] == 2) {
          std::fill_n(input.begin() + i * shape.in_plane(), shape.in_plane(), 0.0f);
        }
      }
    }
  }

  // Frame t of every stream, (streams, size), out of values (streams, frames, size).
  template <typename T>
  std::vector<T> frame(const std::vector<T>& values, std::size_t t) const {
    const std::size_t size = values.size() / std::max<std::size_t>(1, streams * frames);
    std::vector<T> result;
    for (std::size_t n = 0; n < streams; ++n) {
      const auto begin = values.begin() + (n * frames + t) * size;
      result.insert(result.end(), begin, begin + size);
    }
    return result;
  }

  std::vector<double> expected() const {
    ConvShape rows = shape;
    rows.frames = streams * frames;
    const std::vector<double> raw = reference::convolution(rows, input, weight, bias);
    return reference::fuse(raw, policy, streams, frames, shape.out_channels, shape.out_plane());
  }

  std::vector<float> as_clips(const GemmKernel& kernel) const {
    ConvShape rows = shape;
    rows.frames = streams * frames;
    std::vector<float> output(rows.frames * shape.out_channels * shape.out_plane(), kNaN);
    const Policy out("policy", policy.data(), streams, frames, shape.out_channels);
    std::optional<Policy> in;
    if (!input_policy.empty()) {
      in.emplace("input_policy", input_policy.data(), streams, frames, shape.in_channels);
    }
    conditional_conv(rows, {input.data(), weight.data(), bias.data(), output.data()}, &out,
                     in ? &*in : nullptr, serial, test_workspaces(), kernel);
    return output;
  }

  // Outputs per frame: (streams, ...).
  std::vector<std::vector<float>> as_streams(const GemmKernel& kernel,
                                             const ParallelFor& parallel_for = serial) const {
    const std::size_t channels = streams * shape.out_channels;
    std::vector<float> previous_input(streams * shape.in_channels * shape.in_plane());
    std::vector<float> previous_raw(channels * shape.out_plane());
    std::vector<std::int32_t> missing(channels), previous_promise(streams * shape.in_channels);
    std::vector<std::vector<float>> outputs;
    for (std::size_t t = 0; t < frames; ++t) {
      const std::vector<float> now = frame(input, t);
      const std::vector<std::int32_t> actions = frame(policy, t);
      const std::vector<std::int32_t> promise = frame(input_policy, t);
      // Not a number wherever nothing is written.
      std::vector<float> output(previous_raw.size(), kNaN), raw(previous_raw.size(), kNaN);
      std::vector<std::int32_t> next_missing(channels, -1);
      std::optional<Policy> in, previous_in;
      if (!promise.empty()) {
        in.emplace("input_policy", promise.data(), streams, 1, shape.in_channels);
        previous_in.emplace("previous_input_policy", previous_promise.data(), streams, 1,
                            shape.in_channels);
      }
      stream_conv(
          shape,
          {now.data(), weight.data(), bias.data(), previous_input.data(), previous_raw.data(),
           missing.data(), output.data(), raw.data(), next_missing.data()},
          Policy("policy", actions.data(), streams, 1, shape.out_channels), in ? &*in : nullptr,
          previous_in ? &*previous_in : nullptr, parallel_for, test_workspaces(), kernel);
      for (std::size_t i = 0; i < channels; ++i) {
        CHECK(next_missing[i] == (actions[i] != 0));
      }
      outputs.push_back(output);
      previous_input = now;
      previous_raw = raw;
      previous_promise = promise;
      missing = next_missing;
    }
    return outputs;
  }
};

ConvShape random_shape(std::mt19937& random) {
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  ConvShape s;
  s.in_channels = between(0, 20);
  s.out_channels = between(1, 40);
  s.kernel_height = s.kernel_width = between(1, 3);
  s.in_height = between(s.kernel_height, 20);
  s.in_width = between(s.kernel_width, 20);
  s.stride_y = s.stride_x = between(1, 2);
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = between(0, 1);
  return s;
}

void equals_one_clip_of_all_frames(const GemmKernel& kernel) {
  std::mt19937 random(1);
  for (int i = 0; i < 100; ++i) {
    const Video video(random, 1 + i % 3, 1 + i % 7, random_shape(random), i % 2 == 0);
    const std::vector<double> expected = video.expected();
    const auto outputs = video.as_streams(kernel);
    const double tolerance = 1e-7 * double(video.shape.in_channels * video.shape.taps() + 1);
    for (std::size_t t = 0; t < video.frames; ++t) {
      const std::vector<double> wanted = video.frame(expected, t);
      for (std::size_t j = 0; j < wanted.size(); ++j) {
        CHECK_CLOSE(outputs[t][j], wanted[j], tolerance);
      }
    }
  }
}

void takes_the_work_of_one_clip(const GemmKernel& kernel) {
  std::mt19937 random(2);
  ConvShape shape;
  shape.in_channels = 13;
  shape.out_channels = 45;
  shape.in_height = 4;
  shape.in_width = 12;  // whole vectors on every instruction set
  for (const bool promises : {false, true}) {
    const Video video(random, 2, 9, shape, promises);
    const GemmKernel counter = count_macs(kernel);
    video.as_clips(counter);
    const std::size_t clip = counted_macs;
    counted_macs = 0;
    video.as_streams(counter);
    CHECK(clip > 0);
    CHECK(counted_macs == clip);
  }
}

void does_not_depend_on_threads(const GemmKernel& kernel) {
  std::mt19937 random(3);
  ConvShape shape;
  shape.in_channels = 40;
  shape.out_channels = 150;
  shape.kernel_height = shape.kernel_width = 3;
  shape.in_height = shape.in_width = 23;
  const Video video(random, 2, 3, shape, true);
  CHECK(video.as_streams(kernel, serial) == video.as_streams(kernel, threaded));
  CHECK(video.as_streams(kernel, serial) == video.as_streams(kernel, nested()));
}

void handles_nothing(const GemmKernel& kernel) {
  std::mt19937 random(4);
  ConvShape shape;
  shape.in_channels = shape.in_height = shape.in_width = 3;
  for (const std::size_t streams : {0, 2}) {
    for (const std::size_t channels : {0, 2}) {
      shape.out_channels = channels;
      const Video video(random, streams, 2, shape, false);
      CHECK(video.as_streams(kernel)[1].size() == streams * channels * 9);
    }
  }
}

}  // namespace

TEST_CASE("convolutions of streams") {
  for (const GemmKernel* kernel : gemm_kernels()) {
    INFO(to_string(kernel->instruction_set));
    equals_one_clip_of_all_frames(*kernel);
    takes_the_work_of_one_clip(*kernel);
    does_not_depend_on_threads(*kernel);
    handles_nothing(*kernel);
  }
}
