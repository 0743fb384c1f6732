// Frames that hold only computed channels, in the order of CompactChannels.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/parallel_for.h"
#include "layout/nhwc_layout.h"
#include "policy/channel_order.h"

namespace adafuse {

class CompactFrames {
 public:
  // Begins with `rows` frames of planes that have `channels` channels, of which, unless there is no
  // policy, only what is computed is stored; order() does the rest.
  void assign(const Policy* policy, std::size_t rows, std::size_t channels,
              const FrameLayout& plane);

  // Orders the channels of all these frames.  Pixels lie as close as the frame with the most
  // channels allows, so writers and readers agree on the layout by the policy alone and the memory
  // for all channels is enough.
  static void order(const std::vector<CompactFrames*>& all, Precision precision,
                    const ParallelFor& parallel_for);

  const CompactChannels& operator[](std::size_t row) const { return order_[row]; }
  // Those of the previous frame where that may lend channels, or null.
  const CompactChannels* previous(std::size_t row) const {
    return row % frames_ == 0 ? nullptr : &order_[row - 1];
  }
  const FrameLayout& layout() const { return layout_; }
  std::size_t offset(std::size_t row) const { return row * layout_.frame_pitch(); }

  // Means as the next layer sees them, (rows, channels), from those of what is stored: kept
  // channels have their own, reused ones those of the previous frame, others 0.
  void fuse_means(const std::function<float(std::size_t row, std::size_t place)>& stored,
                  float* means) const;

 private:
  const Policy* policy_ = nullptr;  // while they are ordered
  std::size_t rows_ = 0;
  std::size_t frames_ = 1;
  std::size_t channels_ = 0;
  FrameLayout layout_;
  std::vector<CompactChannels> order_;
};

}  // namespace adafuse
