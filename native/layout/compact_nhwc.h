// Compact NHWC frames: they hold only computed channels, in the order of ChannelOrder.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/parallel_for.h"
#include "layout/nhwc_layout.h"
#include "policy/channel_order.h"

namespace adafuse {

// Layout and channel orders of compact frames of one tensor; their memory is the caller's.
class CompactNhwc {
 public:
  // Sets sizes: `frames` frames of `channels` channels, of which only those that `policy` computes
  // are stored (null: all), with the height, width and border of `plane`.  To be followed by
  // order(), until which the policy must last.
  void assign(const Policy* policy, std::size_t frames, std::size_t channels,
              const NhwcLayout& plane);

  // Orders the channels of all these frames.  Pixels lie as close as the frame with the most
  // channels allows, so writers and readers agree on the layout by the policy alone and the memory
  // for all channels is enough.
  static void order(const std::vector<CompactNhwc*>& all, Precision precision,
                    const ParallelFor& parallel_for);

  const ChannelOrder& operator[](std::size_t frame) const { return order_[frame]; }
  // The previous frame's order where that may lend channels, or null.
  const ChannelOrder* previous(std::size_t frame) const {
    return frame % frames_per_clip_ == 0 ? nullptr : &order_[frame - 1];
  }
  const NhwcLayout& layout() const { return layout_; }
  // Bytes from the first frame to a frame.
  std::size_t offset(std::size_t frame) const { return frame * layout_.frame_pitch(); }

  // Writes channel means as the next layer sees them, (frames, channels), from `stored`, the means
  // of stored channels: a kept channel has its own, a reused one the previous frame's, others 0.
  void fuse_means(const std::function<float(std::size_t frame, std::size_t place)>& stored,
                  float* means) const;

 private:
  const Policy* policy_ = nullptr;  // used by order() alone
  std::size_t frames_ = 0;
  std::size_t frames_per_clip_ = 1;
  std::size_t channels_ = 0;
  NhwcLayout layout_;
  std::vector<ChannelOrder> order_;
};

}  // namespace adafuse
