// Channels that a convolution reads from one place.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/precision.h"

namespace adafuse {

// Channels or places begin ... end - 1, read as whole units; what else lies in the first and the
// last unit meets weights of zero.
struct ChannelRun {
  std::size_t begin, end;

  std::size_t first_unit(Precision precision) const { return begin / per_unit(precision); }
  std::size_t units(Precision precision) const {
    return begin == end
               ? 0
               : (end + per_unit(precision) - 1) / per_unit(precision) - first_unit(precision);
  }
};

// The first channels of a frame come from the next frame, the following ones from the previous
// frame, the others from the frame itself; beyond a clip's ends there are zeros.
struct TemporalShift {
  std::size_t from_next = 0;
  std::size_t from_previous = 0;

  // Those of the next frame, of the previous one and of the frame itself.
  std::array<ChannelRun, 3> runs(std::size_t channels) const {
    const std::size_t own = from_next + from_previous;
    return {{{0, from_next}, {from_next, own}, {own, channels}}};
  }
};

}  // namespace adafuse
