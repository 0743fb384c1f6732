// A policy network for the frames of a clip, or the next one of every stream.
//
// So few frames use every weight seldom, so memory is what it waits for: all threads read, whole
// rows one after another, and networks that share weights name the same memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/parallel_for.h"

namespace adafuse {

struct PolicyNetwork {
  std::size_t features, hidden, channels;
  const float* weight0;  // (hidden, 2 * features): of the previous features, then of these
  const float* scale0;   // (hidden): what the sums over weight0 are multiplied by
  const float* bias0;    // (hidden); ReLU stands behind
  const float* weight1;  // (3 * channels, hidden): a row per action of a channel
  const float* bias1;    // (3 * channels)
};

// Writes the likeliest action of every channel, (rows, channels), for pooled features
// (rows, features) and those of the frames before.  The result does not depend on how
// `parallel_for` spreads the work.
void decide(const PolicyNetwork& network, const float* previous, const float* features,
            std::size_t rows, std::int32_t* actions, const ParallelFor& parallel_for);

}  // namespace adafuse
