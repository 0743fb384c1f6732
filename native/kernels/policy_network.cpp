#include "kernels/policy_network.h"

#include <algorithm>

#include "kernels/aligned_buffer.h"

namespace adafuse {
namespace {

constexpr std::size_t kActions = 3;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 16;
// Rows of weights that are read side by side.
constexpr std::size_t kRows = 4;

#if defined(__x86_64__)
#define FOR_WIDE_VECTORS [[gnu::target_clones("avx2", "default")]]
#else
#define FOR_WIDE_VECTORS
#endif

using Vector [[gnu::vector_size(8 * sizeof(float)), gnu::aligned(sizeof(float)), gnu::may_alias]] =
    float;
constexpr std::size_t kLanes = sizeof(Vector) / sizeof(float);

// The products of `rows` rows of weights with `inputs`, `count` each.
FOR_WIDE_VECTORS void multiply(const float* weights, std::size_t rows, const float* inputs,
                               std::size_t count, float* products) {
  for (std::size_t first = 0; first < rows; first += kRows) {
    // Where there are fewer rows, the last is read again.
    const float* row[kRows];
    for (std::size_t r = 0; r < kRows; ++r) {
      row[r] = weights + std::min(first + r, rows - 1) * count;
    }
    const float* const next = weights + (first + kRows) * count;  // only prefetched
    Vector even[kRows] = {}, odd[kRows] = {};
    std::size_t i = 0;
    for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
      const Vector* const x = reinterpret_cast<const Vector*>(inputs + i);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kRows; ++r) {
        __builtin_prefetch(next + kRows * i + r * 2 * kLanes, 0, 2);
        const Vector* const w = reinterpret_cast<const Vector*>(row[r] + i);
        even[r] += w[0] * x[0];
        odd[r] += w[1] * x[1];
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r) {
      const Vector sums = even[r] + odd[r];
      float product = 0;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        product += sums[lane];
      }
      for (std::size_t rest = i; rest < count; ++rest) {
        product += row[r][rest] * inputs[rest];
      }
      products[std::min(first + r, rows - 1)] = product;
    }
  }
}

// Calls body(begin, end) for the parts of `count`.
template <typename Body>
void in_parts(std::size_t count, const ParallelFor& parallel_for, const Body& body) {
  const std::size_t parts = std::min(count, kEnoughTasks);
  parallel_for(parts,
               [&](std::size_t part) { body(count * part / parts, count * (part + 1) / parts); });
}

thread_local AlignedArray<float> shared_values;

}  // namespace

void decide(const PolicyNetwork& network, const float* previous, const float* features,
            std::size_t rows, std::int32_t* actions, const ParallelFor& parallel_for) {
  const std::size_t inputs = 2 * network.features, hidden = network.hidden;
  const std::size_t outputs = kActions * network.channels;
  float* const both = shared_values.reserve(rows * (inputs + hidden + outputs));
  float* const units = both + rows * inputs;
  float* const logits = units + rows * hidden;
  for (std::size_t row = 0; row < rows; ++row) {
    std::copy_n(previous + row * network.features, network.features, both + row * inputs);
    std::copy_n(features + row * network.features, network.features,
                both + row * inputs + network.features);
  }
  in_parts(hidden, parallel_for, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = 0; row < rows; ++row) {
      float* const values = units + row * hidden;
      multiply(network.weight0 + begin * inputs, end - begin, both + row * inputs, inputs,
               values + begin);
      for (std::size_t i = begin; i < end; ++i) {
        values[i] = std::max(0.0f, network.scale0[i] * values[i] + network.bias0[i]);
      }
    }
  });
  in_parts(network.channels, parallel_for, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = 0; row < rows; ++row) {
      float* const values = logits + row * outputs;
      multiply(network.weight1 + begin * kActions * hidden, (end - begin) * kActions,
               units + row * hidden, hidden, values + begin * kActions);
      for (std::size_t channel = begin; channel < end; ++channel) {
        float* const of = values + channel * kActions;
        for (std::size_t action = 0; action < kActions; ++action) {
          of[action] += network.bias1[channel * kActions + action];
        }
        actions[row * network.channels + channel] =
            static_cast<std::int32_t>(std::max_element(of, of + kActions) - of);
      }
    }
  });
}

}  // namespace adafuse
