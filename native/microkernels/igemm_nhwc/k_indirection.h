// The terms of a convolution's sum, in the form the tile kernel walks through.
#pragma once

#include <vector>

#include "layout/channel_run.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "policy/channel_order.h"

namespace adafuse {

// A frame's place in its clip, as far as its neighbours matter.
struct Neighbours {
  bool previous;
  bool next;
};

// A convolution's input: square kernels, padded by half their size.
struct InputShape {
  FrameLayout layout;
  std::size_t channels;
  std::size_t kernel;
  std::size_t stride;

  std::size_t pad() const { return kernel / 2; }
  std::size_t taps() const { return kernel * kernel; }
};

// In place of a channel: weights of zero.
constexpr std::uint32_t kNoChannel = static_cast<std::uint32_t>(-1);

class StepList {
 public:
  // Every channel of a frame, shifted; for PanelWeights or OutputWeights.
  void assign(const InputShape& input, const TileKernel& kernel, const TemporalShift& shift,
              Neighbours neighbours);

  // What a frame reads of compactly stored channels: its own and, unless null, those the previous
  // frame lends, which lie `distance` bytes behind; for read_panels().
  void assign(const InputShape& input, const TileKernel& kernel, const CompactChannels& own,
              const CompactChannels* previous, std::ptrdiff_t distance);

  // What was gathered: `channels`, whole units, side by side and pixel by pixel; for read_panels().
  // In each row of the convolution's kernel, steps read on until they are whole chunks; what they
  // find there meets weights of zero.
  void assign(const InputShape& input, const TileKernel& kernel,
              const std::vector<std::uint32_t>& channels);

  // Steps of the kernel's rows [first, last).
  const Step* begin(std::size_t first) const { return steps_.data() + row_begin_[first]; }
  std::size_t depth(std::size_t first, std::size_t last) const {
    return row_begin_[last] - row_begin_[first];
  }

  // The panels [begin, end) of weights for the channels of compact storage, merged into weight rows
  // in `buffer` where a unit holds several channels.  `channels` are panels of ChannelWeights.
  Panels read_panels(const TileKernel& kernel, const Panels& channels, std::size_t begin,
                     std::size_t end, AlignedArray<std::uint32_t>& buffer) const;

 private:
  Step* append_run(std::ptrdiff_t input, std::size_t count, std::size_t weight,
                   std::size_t distance);
  template <typename AppendTap>
  void assign_taps(const InputShape& input, AppendTap append_tap);

  std::vector<Step> steps_;
  std::vector<std::size_t> row_begin_;
  std::vector<std::uint32_t> merged_;  // byte offsets of the rows that make up the weight rows
};

}  // namespace adafuse
