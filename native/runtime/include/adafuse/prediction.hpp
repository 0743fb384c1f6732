// The result of an engine or a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "adafuse/export.h"
#include "adafuse/tensor.hpp"

namespace adafuse {

// The actions of a policy: compute the channel, copy it from the previous frame, or clear it.
constexpr std::uint8_t kKeep = 0, kReuse = 1, kSkip = 2;

// The result for B clips of T frames over K classes; for B streams, T is 1.
struct ADAFUSE_API Prediction {
  Tensor<float> logits;                        // (B, K), after consensus
  Tensor<float> frame_logits;                  // (B, T, K), before consensus
  std::vector<Tensor<std::uint8_t>> policies;  // in network order, (B, T, C) of actions
  std::vector<std::int64_t> macs;              // (B), multiply-accumulates under the policies

  // The best `count` classes of one clip, best first.
  std::vector<std::size_t> top(std::size_t clip, std::size_t count) const;
  // Softmax of the logits of one clip.
  std::vector<float> probabilities(std::size_t clip) const;
};

}  // namespace adafuse
