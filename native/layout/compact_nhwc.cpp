#include "layout/compact_nhwc.h"

#include <algorithm>

namespace adafuse {

void CompactNhwc::assign(const Policy* policy, std::size_t frames, std::size_t channels,
                         const NhwcLayout& plane) {
  policy_ = policy;
  frames_ = frames;
  frames_per_clip_ = policy == nullptr ? 1 : policy->frames_per_clip();
  channels_ = channels;
  layout_ = plane;
  order_.resize(std::max(order_.size(), frames));
}

void CompactNhwc::order(const std::vector<CompactNhwc*>& all, Precision precision,
                        const ParallelFor& parallel_for) {
  std::size_t tasks = 0;
  for (const CompactNhwc* planes : all) {
    tasks = std::max(tasks, planes->frames_);
  }
  parallel_for(tasks, [&](std::size_t frame) {
    for (CompactNhwc* planes : all) {
      if (frame < planes->frames_) {
        planes->order_[frame].assign(planes->policy_, frame, planes->channels_);
      }
    }
  });
  for (CompactNhwc* planes : all) {
    std::size_t most = 0;
    for (std::size_t frame = 0; frame < planes->frames_; ++frame) {
      most = std::max(most, planes->order_[frame].size());
    }
    planes->layout_.pitch = channel_pitch(most, precision);
  }
}

void CompactNhwc::fuse_means(
    const std::function<float(std::size_t frame, std::size_t place)>& stored, float* means) const {
  std::fill_n(means, frames_ * channels_, 0.0f);
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    const ChannelOrder& own = order_[frame];
    for (std::size_t place = 0; place < own.kept(); ++place) {
      means[frame * channels_ + own[place]] = stored(frame, place);
    }
    const ChannelOrder* const lender = previous(frame);
    for (std::size_t place = lender == nullptr ? 0 : lender->lent_begin();
         lender != nullptr && place < lender->size(); ++place) {
      means[frame * channels_ + (*lender)[place]] = stored(frame - 1, place);
    }
  }
}

}  // namespace adafuse
