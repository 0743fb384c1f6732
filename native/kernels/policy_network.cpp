#include "kernels/policy_network.h"

#include <algorithm>

#include "kernels/aligned_buffer.h"
#include "kernels/row_products.h"

namespace adafuse {
namespace {

constexpr std::size_t kActions = 3;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 16;

// The products of `rows` rows of weights, of `width` values each, with `count` inputs, `pitch`
// apart as their products are by `product_pitch`.
void multiply_all(const float* weights, std::size_t rows, std::size_t width, const float* inputs,
                  std::size_t pitch, std::size_t count, float* products,
                  std::size_t product_pitch) {
  const RowProducts& kernel = row_products();
  // A few rows of weights stay in the nearest cache for all inputs.
  for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
    for (std::size_t n = 0; n < count; n += kInputsAtOnce) {
      const std::size_t other = std::min(n + 1, count - 1);
      const float* const both[kInputsAtOnce] = {inputs + n * pitch, inputs + other * pitch};
      float* const to[kInputsAtOnce] = {products + n * product_pitch + first,
                                        products + other * product_pitch + first};
      kernel.multiply(weights + first * width, std::min(kRowsAtOnce, rows - first), both, width,
                      to);
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
    multiply_all(network.weight0 + begin * inputs, end - begin, inputs, both, inputs, rows,
                 units + begin, hidden);
    for (std::size_t row = 0; row < rows; ++row) {
      float* const values = units + row * hidden;
      for (std::size_t i = begin; i < end; ++i) {
        values[i] = std::max(0.0f, network.scale0[i] * values[i] + network.bias0[i]);
      }
    }
  });
  in_parts(network.channels, parallel_for, [&](std::size_t begin, std::size_t end) {
    const std::size_t first = begin * kActions, last = end * kActions;
    multiply_all(network.weight1 + first * hidden, last - first, hidden, units, hidden, rows,
                 logits + first, outputs);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t channel = begin; channel < end; ++channel) {
        float* const of = logits + row * outputs + channel * kActions;
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
