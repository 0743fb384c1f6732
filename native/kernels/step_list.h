// The terms of a convolution's sum, in the form the tile kernel walks through.
#pragma once

#include <array>
#include <vector>

#include "kernels/compact_channels.h"
#include "kernels/frame_layout.h"
#include "kernels/tile_kernel.h"

namespace adafuse {

// The first channels of a frame come from the next frame, the following ones from the previous
// frame, the others from the frame itself; beyond a clip's ends there are zeros.
struct TemporalShift {
  std::size_t from_next = 0;
  std::size_t from_previous = 0;
};

// A frame's place in its clip, as far as its neighbours matter.
struct Neighbours {
  bool previous;
  bool next;
};

// A convolution's input: square kernels, 1x1 or 3x3, padded by half their size.
struct InputShape {
  FrameLayout layout;
  std::size_t channels;
  std::size_t kernel;
  std::size_t stride;

  std::size_t pad() const { return kernel / 2; }
  std::size_t taps() const { return kernel * kernel; }
};

constexpr std::size_t kMaxKernel = 3;

class StepList {
 public:
  // Every channel of a frame, shifted.
  void assign(const InputShape& input, const TemporalShift& shift, Neighbours neighbours,
              std::size_t panel_width);

  // What a frame reads of compactly stored channels: its own and, unless null, those the previous
  // frame lends, which lie one frame before.
  void assign(const InputShape& input, const CompactChannels& own, const CompactChannels* previous,
              std::size_t panel_width);

  // Steps of the kernel's rows [first, last).
  const Step* begin(std::size_t first) const { return steps_.data() + row_begin_[first]; }
  std::size_t depth(std::size_t first, std::size_t last) const {
    return row_begin_[last] - row_begin_[first];
  }

 private:
  template <typename AppendTap>
  void assign_taps(const InputShape& input, AppendTap append_tap);

  std::vector<Step> steps_;
  std::array<std::size_t, kMaxKernel + 1> row_begin_{};
};

}  // namespace adafuse
