// The implementation of Stream: its state, which it owns, and the last frame's policies.
#pragma once

#include <array>

#include "src/consensus.h"
#include "src/session.h"

namespace adafuse {

struct Stream::Impl {
  Impl(std::shared_ptr<const Session> of_session, const StreamOptions& options);

  Prediction push(const Tensor<float>& frames);
  void reset(std::size_t stream);
  Tensor<float> checked(const Tensor<float>& frames) const;
  // Values over one of the two sets of state, under the graph's input or output names.
  void add_state(NamedValues& values, std::size_t set, std::string StateTensor::* name);

  std::shared_ptr<const Session> session;
  const Metadata& metadata;
  std::size_t streams;
  std::unique_ptr<Consensus> consensus;
  // Two sets of state tensors: each step reads set `turn` and writes the other.  float32 lies in
  // int32 tensors too; zero is the same four bytes in both.
  std::array<std::vector<Tensor<std::int32_t>>, 2> states;
  std::size_t turn = 0;
  std::vector<Tensor<std::uint8_t>> policies;  // of the frame before
};

}  // namespace adafuse
