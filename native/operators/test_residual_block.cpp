// Fused residual blocks on every instruction set of this processor against the definition.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "base/recorder.h"
#include "operators/residual_case.h"
#include "tests/close.h"
#include "tests/parallel.h"
#include "tests/spans.h"

using namespace adafuse;

namespace {

ResidualCase random_case(std::mt19937& random, Precision precision) {
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  ResidualCase c;
  c.precision = precision;
  c.bottleneck = between(0, 1) > 0;
  c.clips = between(1, 2);
  c.frames = between(1, 4);
  c.height = between(1, 24);
  c.width = between(1, 24);
  c.in_channels = between(1, 70);
  c.mid_channels = between(1, 70);
  c.conv2_channels = between(0, 1) * between(1, 70);
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

// A block that is cut into strips of more than one row each.
ResidualCase large_case(std::mt19937& random, Precision precision) {
  ResidualCase c;
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

void check_result(const ResidualCase& c, const std::vector<double>& expected,
                  const IgemmKernel& kernel) {
  INFO(to_string(kernel.instruction_set));
  const ResidualResult result = c.run(kernel);
  const double most = c.tolerance();
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

// Checks every instruction set of this processor; the definition is computed once.
void check_result(const ResidualCase& c) {
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
  ResidualCase c = large_case(random, precision);
  check_result(c);
  c.lasting = c.precision == Precision::kFloat32;
  c.in_channels = c.out_channels = 48;  // whole cache lines, which can stay where they are
  c.fill(random);
  check_result(c);
}

void equals_the_definition_by_winograd() {
  std::mt19937 random(7);
  ResidualCase c = large_case(random, Precision::kFloat32);
  c.winograd = true;
  check_result(c);
  c.bottleneck = false;
  c.fill(random);
  check_result(c);
  // Frames so wide that one row of Winograd tiles fills the cache, and so many of them that a task
  // has several rows.
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
    ResidualCase c = i == 0 ? large_case(random, precision) : random_case(random, precision);
    c.shift = {};
    c.draw_policy(random);
    c.as_streams = true;
    check_result(c);
  }
}

void handles_every_width_and_number_of_channels(Precision precision) {
  std::mt19937 random(2);
  for (std::size_t size = 1; size <= 66; ++size) {
    ResidualCase c;
    c.precision = precision;
    c.bottleneck = size % 2 == 0;
    c.frames = 2;
    c.height = 2;
    c.width = size % 31 + 1;
    c.in_channels = c.mid_channels = c.out_channels = size;
    c.conv2_channels = size % 4 == 0 ? 67 - size : 0;
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
        ResidualCase c;
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
        ResidualCase c = large_case(random, kernel.precision);
        c.projects = size == 7;
        c.bottleneck = bottleneck;
        c.winograd = winograd;
        c.height = c.width = size;
        c.fill(random);
        const ResidualResult expected = c.run(kernel);
        for (const bool in_place : {false, true}) {
          const ResidualResult result = c.run(kernel, threaded, in_place);
          CHECK(same_bits(result.output, expected.output));
          CHECK(same_bits(result.pooled, expected.pooled));
        }
        // Runs that overlap: a run of other sizes on a thread that is in the middle of this one,
        // and one in another thread.
        ResidualCase other = large_case(random, kernel.precision);
        other.height = other.width = 38 - size;
        other.frames = 2;
        other.fill(random);
        const ResidualResult expected_other = other.run(kernel);
        std::size_t turn = 0;
        const ResidualResult result =
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

// Multiply-accumulates that a block asks of `counted_kernel`.
std::atomic<std::size_t> counted_macs;
const IgemmKernel* counted_kernel;

void computes_only_what_is_needed(const IgemmKernel& kernel, bool as_streams) {
  counted_kernel = &kernel;
  counted_macs = 0;
  IgemmKernel counting = kernel;
  counting.run = [](const TileSize& size, const GemmTerm* terms, std::size_t count,
                    const EpiloguePerChannel& channels, const TileOutput& output) {
    for (std::size_t i = 0; i < count; ++i) {
      counted_macs += size.pixels * size.groups * round_up(size.channels, counted_kernel->nr_step) *
                      terms[i].depth * kr(counted_kernel->precision);
    }
    counted_kernel->run(size, terms, count, channels, output);
  };
  std::mt19937 random(5);
  ResidualCase c;
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
    std::size_t computed = 0, deferred = 0, read = 0;
    for (std::size_t channel = 0; channel < c.mid_channels; ++channel) {
      const bool only_lends = policy.lends(row, channel) && !policy.keeps(row, channel);
      (as_streams && only_lends ? deferred : computed) += policy.computes(row, channel);
      read += !policy.clears(row, channel);
    }
    // Channels read in vain: the four ends of two runs are rounded to K groups.
    const std::size_t rounding = 4 * (kr(kernel.precision) - 1);
    conv1 += (round_up(computed, kernel.nr_step) + round_up(deferred, kernel.nr_step)) *
             c.in_channels * plane;
    conv2 += read * 9 * c.mid_channels * plane;
    // Micro-kernels of a K block over 1 read whole K blocks in each row of the convolution's
    // kernel.
    conv2_most += 3 * round_up(3 * (read + rounding), kernel.k_block * kr(kernel.precision)) *
                  c.mid_channels * plane;
    conv3 += c.mid_channels * c.out_channels * plane;
  }
  // conv2 leaves rows of its kernel out that lie in the border above or below: 9/10 is a lower
  // bound.
  CHECK(counted_macs > conv1 + conv3 + conv2 * 9 / 10);
  CHECK(counted_macs <= conv1 + conv3 + conv2_most);
}

// What it records lies one in another, tells its convolutions apart and changes no result.
void says_where_its_time_goes(const IgemmKernel& kernel) {
  std::mt19937 random(11);
  Recorder recorder(1 << 16);
  for (const bool bottleneck : {false, true}) {
    for (const std::size_t size : {7, 31}) {
      for (const bool winograd : {false, kernel.precision == Precision::kFloat32}) {
        ResidualCase c = large_case(random, kernel.precision);
        c.bottleneck = bottleneck;
        c.winograd = winograd;
        c.height = c.width = size;
        c.fill(random);
        const ResidualResult expected = c.run(kernel);
        REQUIRE(recorder.start());
        {
          const NodeRecording node("block");
          const ResidualResult result =
              c.run(kernel, recorded(threaded, node.get()), false, node.get());
          CHECK(same_bits(result.output, expected.output));
        }
        recorder.stop();
        CHECK(recorder.lost() == 0);
        check_nesting(recorder);
        std::set<Span> kinds;
        for (std::size_t i = 0; i < recorder.count(); ++i) {
          kinds.insert(recorder.records()[i].span);
        }
        std::set<Span> wanted{Span::kNode, Span::kSection, Span::kTask,
                              Span::kPack, Span::kConv1,   Span::kConv2};
        if (bottleneck) {
          wanted.insert(Span::kConv3);
        }
        CHECK(kinds == wanted);
      }
    }
  }
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
      says_where_its_time_goes(*kernel);
      computes_only_what_is_needed(*kernel, false);
      computes_only_what_is_needed(*kernel, true);
    }
  }
  equals_the_definition_by_winograd();
}
