// A policy network for the frames of a clip, or the next one of every stream.
//
// Every weight serves few frames, so the time goes into reading weights: all threads read, whole
// rows one after another, and networks that share weights name the same memory.  Not read are rows
// of hidden units that ReLU sets to zero and, where weigh_history() did it for all networks that
// share weight0, the weights of the previous features.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/parallel_for.h"
#include "base/precision.h"
#include "base/workspace.h"

namespace adafuse {

// The actions of a channel's logits, in their order: two or three.
struct PolicyActions {
  std::size_t count = 3;
  std::array<std::int32_t, 3> values{0, 1, 2};
};

template <typename Weight>  // float or BFloat16
struct PolicyNetwork {
  std::size_t features, hidden, channels;
  // (hidden, 2 * features): of the previous features, then of these; (hidden, features) for a
  // network without a history.
  const Weight* weight0;
  const float* scale0;  // (hidden): factors of the products with weight0
  const float* bias0;   // (hidden)
  const Weight*
      weight1;         // (hidden, actions.count * channels): the logits of a channel side by side
  const float* bias1;  // (actions.count * channels)
  PolicyActions actions = {};
  bool rectifies = true;  // ReLU stands behind the hidden units
};

// The previous frames' pooled features (rows, features), or their share (rows, hidden) of the sums
// over weight0 as of weigh_history(); one of both is null, or both for a network without a history.
struct PolicyHistory {
  const float* features;
  const float* weighed;

  bool exists() const { return features != nullptr || weighed != nullptr; }
};

// Writes the likeliest action of every channel, (rows, channels), for pooled features
// (rows, features) and those of the frames before.  The result does not depend on how
// `parallel_for` spreads the work, nor on which of both the history is.
template <typename Weight>
void decide(const PolicyNetwork<Weight>& network, const PolicyHistory& history,
            const float* features, std::size_t rows, std::int32_t* actions,
            const ParallelFor& parallel_for, Workspaces& workspaces);

// Writes the previous features' share (rows, hidden) of the sums over weight0
// (hidden, 2 * features); rows may belong to any networks that share it.
template <typename Weight>
void weigh_history(std::size_t features, std::size_t hidden, const Weight* weight0,
                   const float* previous, std::size_t rows, float* weighed,
                   const ParallelFor& parallel_for);

}  // namespace adafuse
