// The K indirection of a convolution: a list of K entries per frame (or per kind of frame) that
// says where in A each K group lies and which row of packed B it meets.
//
// One list serves for taps, chosen outputs, chosen inputs, temporal shift and the previous frame's
// channels alike: the micro-kernels know none of these.
#pragma once

#include <vector>

#include "base/workspace.h"
#include "layout/channel_run.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "policy/channel_order.h"

namespace adafuse {

// Whether a frame has a previous and a next one in its clip.
struct Neighbours {
  bool previous;
  bool next;
};

// The input of a convolution with a square kernel, padded by half its size.
struct InputShape {
  NhwcLayout layout;
  std::size_t channels;
  std::size_t kernel;
  std::size_t stride;

  std::size_t pad() const { return kernel / 2; }
  std::size_t taps() const { return kernel * kernel; }
};

// The number of no channel: its weights are zeros.
constexpr std::uint32_t kNoChannel = static_cast<std::uint32_t>(-1);

// A list of K entries; it owns its memory, whose capacity is kept.
class KIndirection {
 public:
  // Every channel of a frame, shifted; for PackedB or PackedBForChosenN.
  void assign(const InputShape& input, const IgemmKernel& kernel, const TemporalShift& shift,
              Neighbours neighbours);

  // Compactly stored channels: those that the frame keeps and, unless null, those that the previous
  // frame lends, which lie `distance` bytes behind; for read_panels().
  void assign(const InputShape& input, const IgemmKernel& kernel, const ChannelOrder& own,
              const ChannelOrder* previous, std::ptrdiff_t distance);

  // `channels` that lie side by side in every pixel, whole K groups; for read_panels().  In each
  // row of the convolution's kernel entries go on to whole K blocks, where they meet weights of
  // zero.
  void assign(const InputShape& input, const IgemmKernel& kernel,
              const std::vector<std::uint32_t>& channels);

  // K entries of the kernel's rows [first, last): where they begin and how many they are.
  const KEntry* begin(std::size_t first) const { return entries_.data() + row_begin_[first]; }
  std::size_t depth(std::size_t first, std::size_t last) const {
    return row_begin_[last] - row_begin_[first];
  }

  // The panels [begin, end) of B for compactly stored channels.  `channels`: panels of
  // PackedBForChosenK, returned as they are in float32 and otherwise packed into a piece of
  // `scratch`.
  BPanels read_panels(const IgemmKernel& kernel, const BPanels& channels, std::size_t begin,
                      std::size_t end, Arena& scratch) const;
  // K entries in all.
  std::size_t depth() const { return row_begin_.back(); }
  // Adds the memory that read_panels() takes for `panels` panels.
  void add_read_panels(ArenaSize& size, const IgemmKernel& kernel, std::size_t panels) const;

 private:
  KEntry* append_run(std::ptrdiff_t input, std::size_t count, std::size_t weight,
                     std::size_t distance);
  template <typename AppendTap>
  void assign_taps(const InputShape& input, AppendTap append_tap);

  std::vector<KEntry> entries_;         // and kPrefetchEntries behind them
  std::vector<std::size_t> row_begin_;  // index of each kernel row's first entry; then of the end
  std::vector<std::uint32_t> merged_;   // byte offsets of the channel rows of each row of B
};

}  // namespace adafuse
