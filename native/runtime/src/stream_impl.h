// State of a stream, in memory that stays where it is, and the last frame's decisions.
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
  // Each step reads one set and writes the other; zeros of either type are four zero bytes.
  std::array<std::vector<Tensor<std::int32_t>>, 2> states;
  std::size_t turn = 0;
  std::vector<Tensor<std::uint8_t>> policies;  // of the frame before
};

}  // namespace adafuse
