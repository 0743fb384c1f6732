// The plan of one run of a residual block: sizes, channel orders and K indirections, made from
// shapes and policies alone.  Making one has no side effect but on the lists that it is given.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "microkernels/igemm_nhwc/compact_input.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/winograd/winograd.h"
#include "operators/residual_block.h"
#include "policy/channel_order.h"

namespace adafuse {

// The lists of a run, whose capacity is kept for the next one.
struct ResidualLists {
  std::vector<ChannelOrder> orders;                             // per conv1 frame
  std::vector<InputShape> conv2_inputs;                         // per frame
  std::array<KIndirection, 4> conv1_entries, shortcut_entries;  // see of_neighbours()
  KIndirection conv3_entries;
  CompactInputs conv2_reads;
  WinogradFrames conv1_winograd, conv2_winograd;
};

// Sizes, orders and lists of a run.
//
// Conv1 runs on conv1 frames: the frames of the run and, of streams, behind them the frames before
// these, for deferred channels: reused now and not computed then.  Their results lie behind the
// channels that the frame itself keeps, on a cache line of their own:
//
//   pixel of conv1's result:  | kept channels | to a line | deferred | copied from the history |
class ResidualPlan {
 public:
  // `missing` (frames, mid_channels): of streams, as ResidualBlockHistory has it; null for clips.
  ResidualPlan(const ResidualBlock& block, std::size_t frames, std::size_t frames_per_clip,
               std::size_t height, std::size_t width, const Policy* policy,
               const std::int32_t* missing, ResidualLists& lists);

  bool streams() const { return streams_; }
  std::size_t conv1_frames() const { return streams_ ? 2 * frames : frames; }
  bool is_deferred(std::size_t conv1_frame) const { return conv1_frame >= frames; }

  Neighbours neighbours(std::size_t frame) const {
    return {frame % frames_per_clip_ != 0, (frame + 1) % frames_per_clip_ != 0};
  }
  const KIndirection& conv1_entries(std::size_t frame) const {
    return of_neighbours(lists.conv1_entries, frame);
  }
  const KIndirection& shortcut_entries(std::size_t frame) const {
    return of_neighbours(lists.shortcut_entries, frame);
  }

  // Channels of conv1's result that a frame reads beside its own, and where they lie from these.
  struct Lent {
    const ChannelOrder* channels;  // or null
    std::ptrdiff_t distance;       // bytes
  };
  Lent lent(std::size_t frame) const;
  // Panels of conv1 that a conv1 frame computes.
  std::size_t conv1_panels(std::size_t conv1_frame) const;

  // The layout of conv1's result that holds so many channels of a frame's own and, of streams, so
  // many reused ones behind them: pixels lie as close as these allow.
  NhwcLayout mid_layout(std::size_t own, std::size_t reused) const;

  const ResidualBlock& block;
  const IgemmKernel& kernel;
  const std::size_t frames;
  InputShape conv1;
  InputShape conv2;  // without a pitch; conv2_inputs have each frame's
  InputShape conv3;
  InputShape shortcut;
  NhwcLayout output;
  ResidualLists& lists;
  const std::vector<ChannelOrder>& orders;
  const std::vector<InputShape>& conv2_inputs;
  std::size_t mid_bytes = 0;   // from a frame of conv1's result to the next
  std::size_t partials_pitch;  // floats from a frame's partial sums of means to the next
  // Slots of partial sums per frame: tasks that add to them.
  std::size_t slots;
  // Large frames are cut into strips of rows, so that what one convolution writes is still in cache
  // when the next reads it.  Small frames with their many channels are cut into panels of output
  // channels, so that weights are read once for all frames.
  bool by_panels;
  std::size_t strip_step;  // rows of a strip are a multiple of it

 private:
  using OfNeighbours = std::array<KIndirection, 4>;
  // The list for a frame's neighbours: number 1 if there is a previous one, plus 2 if there is a
  // next.
  const KIndirection& of_neighbours(const OfNeighbours& of, std::size_t frame) const;
  void order_clips(const Policy* policy);
  void order_streams(const Policy& policy, const std::int32_t* missing);

  const std::size_t frames_per_clip_;
  const bool streams_;
};

}  // namespace adafuse
