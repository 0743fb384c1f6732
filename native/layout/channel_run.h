// Runs of channels, and the temporal shift, which reads three of them.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/precision.h"

namespace adafuse {

// Channels, or places of compact frames, begin ... end - 1, read as whole K groups: other values of
// the first and the last K group meet weights of zero.
struct ChannelRun {
  std::size_t begin, end;

  std::size_t first_k_group(Precision precision) const { return begin / kr(precision); }
  std::size_t k_groups(Precision precision) const {
    return begin == end ? 0 : (end + kr(precision) - 1) / kr(precision) - first_k_group(precision);
  }
};

// The temporal shift, in channels: the first ones of a frame come from the next frame, the
// following ones from the previous frame, the others from the frame itself; beyond a clip's ends
// are zeros.
struct TemporalShift {
  std::size_t from_next = 0;
  std::size_t from_previous = 0;

  // Channels that come from the next frame, from the previous one and from the frame itself.
  std::array<ChannelRun, 3> runs(std::size_t channels) const {
    const std::size_t own = from_next + from_previous;
    return {{{0, from_next}, {from_next, own}, {own, channels}}};
  }
};

}  // namespace adafuse
