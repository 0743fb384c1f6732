#include "operators/policy_network.h"

#include <algorithm>
#include <limits>

#include "microkernels/gemv/gemv.h"

namespace adafuse {
namespace {

// Parts of the hidden units at most: enough for the threads of a usual machine to finish together,
// and few enough for the logits of all parts to be added up soon.
constexpr std::size_t kMostParts = 16;
// Hidden units whose rows of weights stay in the nearest caches for all inputs.
constexpr std::size_t kUnitsAtOnce = 32;
// Logits that are added up faster than threads begin.
constexpr std::size_t kFewLogits = 1 << 15;

std::size_t parts_of(std::size_t count) {
  return std::min(count, kMostParts);
}

// Calls body(part, begin, end) for the parts of `count`.
template <typename Body>
void in_parts(std::size_t count, const ParallelFor& parallel_for, const Body& body) {
  const std::size_t parts = parts_of(count);
  parallel_for(parts, [&](std::size_t part) {
    body(part, count * part / parts, count * (part + 1) / parts);
  });
}

// Computes the first layer for units [begin, end): columns of `units` (rows, hidden).
template <typename Weight>
void find_units(const PolicyNetwork<Weight>& network, const PolicyHistory& history,
                const float* features, std::size_t rows, std::size_t begin, std::size_t end,
                float* weighed, float* units) {
  const GemvKernel<Weight>& kernel = *gemv_kernels<Weight>().front();
  const std::size_t width = network.features, hidden = network.hidden;
  const std::size_t skipped = history.exists() ? width : 0;  // weights of the previous features
  const std::size_t pitch = skipped + width;
  for (std::size_t first = begin; first < end; first += kGemvRows) {
    const std::size_t count = std::min(kGemvRows, end - first);
    const Weight* const weights = network.weight0 + first * pitch;
    if (history.features != nullptr) {
      kernel.multiply(weights, pitch, count, history.features, rows, width, weighed + first,
                      hidden);
    }
    kernel.multiply(weights + skipped, pitch, count, features, rows, width, units + first, hidden);
  }
  const float* const before = history.weighed != nullptr ? history.weighed : weighed;
  const float lowest = network.rectifies ? 0.0f : -std::numeric_limits<float>::infinity();
  for (std::size_t row = 0; row < rows; ++row) {
    if (!history.exists()) {
      std::fill(weighed + row * hidden + begin, weighed + row * hidden + end, 0.0f);
    }
    for (std::size_t i = begin; i < end; ++i) {
      float& unit = units[row * hidden + i];
      unit = std::max(lowest,
                      network.scale0[i] * (before[row * hidden + i] + unit) + network.bias0[i]);
    }
  }
}

// Adds the products of units [begin, end), at most kUnitsAtOnce, with weight1 to the logits of a
// row.
template <typename Weight>
void add_logits(const PolicyNetwork<Weight>& network, const float* units, std::size_t begin,
                std::size_t end, float* logits) {
  const std::size_t outputs = network.actions.count * network.channels;
  const Weight* weights[kUnitsAtOnce];
  float factors[kUnitsAtOnce];
  std::size_t active = 0;
  for (std::size_t i = begin; i < end; ++i) {
    weights[active] = network.weight1 + i * outputs;
    factors[active] = units[i];
    active += units[i] != 0;
  }
  gemv_kernels<Weight>().front()->accumulate(weights, factors, active, outputs, logits);
}

// Chooses the actions of channels [begin, end) of a row: the largest of logits that are the sum of
// bias1 and of `parts` matrices `partial` (rows, kActions * channels).
template <std::size_t kActions, typename Weight>
void choose(const PolicyNetwork<Weight>& network, const float* partial, std::size_t parts,
            std::size_t rows, std::size_t row, std::size_t begin, std::size_t end, float* logits,
            std::int32_t* actions) {
  const std::size_t outputs = kActions * network.channels;
  const std::size_t first = begin * kActions, last = end * kActions;
  const float* weights[kMostParts];
  float factors[kMostParts];
  for (std::size_t part = 0; part < parts; ++part) {
    weights[part] = partial + (part * rows + row) * outputs + first;
    factors[part] = 1;
  }
  float* const sums = logits + row * outputs;
  std::copy(network.bias1 + first, network.bias1 + last, sums + first);
  gemv_kernels<float>().front()->accumulate(weights, factors, parts, last - first, sums + first);
  for (std::size_t channel = begin; channel < end; ++channel) {
    const float* const of = sums + channel * kActions;
    actions[row * network.channels + channel] =
        network.actions.values[static_cast<std::size_t>(std::max_element(of, of + kActions) - of)];
  }
}

}  // namespace

template <typename Weight>
void decide(const PolicyNetwork<Weight>& network, const PolicyHistory& history,
            const float* features, std::size_t rows, std::int32_t* actions,
            const ParallelFor& parallel_for, Workspaces& workspaces) {
  const std::size_t hidden = network.hidden, outputs = network.actions.count * network.channels;
  const std::size_t parts = parts_of(hidden);
  const std::size_t values = checked_product({rows, 2 * hidden + (parts + 1) * outputs});
  ArenaSize size;
  size.add<float>(values);
  Arena memory(workspaces.runs, size);
  float* const units = memory.take<float>(values);
  float* const weighed = units + rows * hidden;
  float* const logits = weighed + rows * hidden;
  float* const partial = logits + rows * outputs;  // (parts, rows, outputs)
  in_parts(hidden, parallel_for, [&](std::size_t part, std::size_t begin, std::size_t end) {
    float* const sums = partial + part * rows * outputs;
    std::fill_n(sums, rows * outputs, 0.0f);
    for (std::size_t first = begin; first < end; first += kUnitsAtOnce) {
      const std::size_t last = std::min(first + kUnitsAtOnce, end);
      find_units(network, history, features, rows, first, last, weighed, units);
      for (std::size_t row = 0; row < rows; ++row) {
        add_logits(network, units + row * hidden, first, last, sums + row * outputs);
      }
    }
  });
  const auto finish = [&](std::size_t /*part*/, std::size_t begin, std::size_t end) {
    const auto run = network.actions.count == 3 ? choose<3, Weight> : choose<2, Weight>;
    for (std::size_t row = 0; row < rows; ++row) {
      run(network, partial, parts, rows, row, begin, end, logits, actions);
    }
  };
  if (parts * rows * outputs <= kFewLogits) {
    finish(0, 0, network.channels);
  } else {
    in_parts(network.channels, parallel_for, finish);
  }
}

template <typename Weight>
void weigh_history(std::size_t features, std::size_t hidden, const Weight* weight0,
                   const float* previous, std::size_t rows, float* weighed,
                   const ParallelFor& parallel_for) {
  const GemvKernel<Weight>& kernel = *gemv_kernels<Weight>().front();
  in_parts(hidden, parallel_for, [&](std::size_t /*part*/, std::size_t begin, std::size_t end) {
    for (std::size_t first = begin; first < end; first += kGemvRows) {
      kernel.multiply(weight0 + first * 2 * features, 2 * features,
                      std::min(kGemvRows, end - first), previous, rows, features, weighed + first,
                      hidden);
    }
  });
}

#define INSTANTIATE(Weight)                                                                       \
  template void decide(const PolicyNetwork<Weight>&, const PolicyHistory&, const float*,          \
                       std::size_t, std::int32_t*, const ParallelFor&, Workspaces&);              \
  template void weigh_history(std::size_t, std::size_t, const Weight*, const float*, std::size_t, \
                              float*, const ParallelFor&);
INSTANTIATE(float)
INSTANTIATE(BFloat16)
#undef INSTANTIATE

}  // namespace adafuse
