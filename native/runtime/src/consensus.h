// Consensus of a stream: one answer at any time from the logits of its frames so far.
#pragma once

#include <memory>

#include "adafuse/stream.hpp"

namespace adafuse {

class Consensus {
 public:
  virtual ~Consensus() = default;
  // Takes one frame's logits (B, K) and returns the consensus (B, K).
  virtual Tensor<float> update(const Tensor<float>& logits) = 0;
  // Forgets everything about one stream.
  virtual void reset(std::size_t stream) = 0;
};

// Throws InputError when there is no such consensus or its parameter is out of range.
std::unique_ptr<Consensus> make_consensus(const StreamOptions& options, std::size_t classes);

}  // namespace adafuse
