// History of a residual block in a stream: conv1's result, which each frame takes from the frame
// before and leaves to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "microkernels/igemm_nhwc/loop_nest.h"
#include "operators/residual_plan.h"

namespace adafuse {

// States of a channel of conv1's result, in `missing`.
enum class MidState : std::int32_t {
  kStored = 0,   // the result is stored
  kSkipped = 1,  // nothing is stored
  kReused = 2,   // the frame reused the channel; what is stored of it is of no more use
};

// Writes the state in which this frame's actions leave each channel.
void write_states(const Policy& policy, std::int32_t* next_missing);

// Reused channels that the frame before computed; copied behind the deferred ones, which are
// computed now.
class ReusedChannels {
 public:
  // Finds the channels of all frames.
  ReusedChannels(const ResidualPlan& plan, const ResidualBlockHistory& history);

  // Copies some rows of a frame; `to`: the address of the reused channels in the frame's first
  // pixel.
  void copy(std::size_t frame, ImageRows rows, char* to) const;

 private:
  struct Frame {
    std::vector<std::size_t> places;  // of the channels in the pixels of the frame before
    NhwcLayout layout;                // of the frame before
  };

  const ResidualPlan& plan_;
  const char* const from_;
  std::vector<Frame> frames_;
};

}  // namespace adafuse
