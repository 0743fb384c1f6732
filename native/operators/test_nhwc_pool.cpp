// pool_nhwc() on every instruction set of this processor against the definition, in double
// precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "operators/feature_map.h"
#include "operators/nhwc_pool.h"
#include "tests/parallel.h"

namespace adafuse {
namespace {

// Planes (planes, height, width) pooled to planes of size `to`, in stored units.
std::vector<double> pool_by_definition(const NhwcPool& pool, const std::vector<double>& planes,
                                       const VideoSize& size, const VideoSize& to) {
  const double factor = pool.scales.input / pool.scales.output;
  const double limit = pool.kernel->precision == Precision::kInt8 ? 255 : INFINITY;
  std::vector<double> result;
  for (std::size_t plane = 0; plane < planes.size() / size.plane(); ++plane) {
    for (std::size_t y = 0; y < to.height; ++y) {
      for (std::size_t x = 0; x < to.width; ++x) {
        double most = 0, total = 0;
        for (std::size_t k = 0; k < 9; ++k) {
          // Unsigned arithmetic: a position before the plane wraps round to one beyond it.
          const std::size_t from_y = y * pool.stride + k / 3 - pool.pad;
          const std::size_t from_x = x * pool.stride + k % 3 - pool.pad;
          if (from_y < size.height && from_x < size.width) {
            const double value = planes[(plane * size.height + from_y) * size.width + from_x];
            most = std::max(most, value);
            total += value;
          }
        }
        const double pooled = pool.kind == NhwcPool::Kind::kMax ? most : total / 9;
        result.push_back(std::min(limit, factor * pooled));
      }
    }
  }
  return result;
}

void pooling_equals_the_definition(const IgemmKernel& kernel) {
  const Precision precision = kernel.precision;
  std::mt19937 random(3);
  for (int i = 0; i < 150; ++i) {
    const VideoSize size{between(random, 1, 2), between(random, 1, 4), between(random, 2, 15),
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
    if (pool.stride == 2) {
      pool.pad = between(random, 0, 1);
      pool.ceil = pool.kind == NhwcPool::Kind::kMax && between(random, 0, 1);
    }
    const VideoSize small{size.clips, size.frames, pool.output_size(size.height),
                          pool.output_size(size.width)};
    if (small.height * small.width == 0) {
      continue;
    }
    FeatureMap input, output;
    input.channels = output.channels = between(random, 1, 40);
    const std::vector<float> values =
        draw_stored(random, size.rows() * input.channels * size.plane(), precision);
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
    output.raw = pool_by_definition(pool, decides ? input.fused(size) : input.raw, size, small);
    AlignedArray<char> from, to;
    input.store(size, pool.input_border, precision,
                from.reserve(input.bytes(size, pool.input_border, precision)));
    for (const ParallelFor& parallel_for : {ParallelFor(serial), ParallelFor(threaded), nested()}) {
      const std::size_t bytes = output.bytes(small, pool.border, precision);
      std::memset(to.reserve(bytes), 0xff, bytes);
      std::vector<float> pooled(size.rows() * input.channels, NAN);
      const std::vector<Policy> policy = input.policy(size), decisions = output.policy(size);
      pool_nhwc(pool, size.rows(), size.height, size.width, input.channels,
                {from.data(), pointer(policy), decides ? pointer(decisions) : nullptr, to.data(),
                 pooled.data()},
                parallel_for, test_workspaces());
      output.check(small, pool.border, precision, to.data(), pooled, pool.scales.output);
    }
  }
}

}  // namespace
}  // namespace adafuse

TEST_CASE("pooling on NHWC") {
  using namespace adafuse;
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    for (const IgemmKernel* kernel : igemm_kernels(precision)) {
      INFO(to_string(kernel->instruction_set), ", ", value_bytes(precision), " bytes a value");
      pooling_equals_the_definition(*kernel);
    }
  }
}
