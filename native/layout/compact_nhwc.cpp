#include "layout/compact_nhwc.h"

#include <algorithm>

namespace adafuse {

void CompactFrames::assign(const Policy* policy, std::size_t rows, std::size_t channels,
                           const FrameLayout& plane) {
  policy_ = policy;
  rows_ = rows;
  frames_ = policy == nullptr ? 1 : policy->frames();
  channels_ = channels;
  layout_ = plane;
  order_.resize(std::max(order_.size(), rows));
}

void CompactFrames::order(const std::vector<CompactFrames*>& all, Precision precision,
                          const ParallelFor& parallel_for) {
  std::size_t tasks = 0;
  for (const CompactFrames* frames : all) {
    tasks = std::max(tasks, frames->rows_);
  }
  parallel_for(tasks, [&](std::size_t row) {
    for (CompactFrames* frames : all) {
      if (row < frames->rows_) {
        frames->order_[row].assign(frames->policy_, row, frames->channels_);
      }
    }
  });
  for (CompactFrames* frames : all) {
    std::size_t most = 0;
    for (std::size_t row = 0; row < frames->rows_; ++row) {
      most = std::max(most, frames->order_[row].size());
    }
    frames->layout_.pitch = channel_pitch(most, precision);
  }
}

void CompactFrames::fuse_means(
    const std::function<float(std::size_t row, std::size_t place)>& stored, float* means) const {
  std::fill_n(means, rows_ * channels_, 0.0f);
  for (std::size_t row = 0; row < rows_; ++row) {
    const CompactChannels& own = order_[row];
    for (std::size_t place = 0; place < own.kept(); ++place) {
      means[row * channels_ + own[place]] = stored(row, place);
    }
    const CompactChannels* const lender = previous(row);
    for (std::size_t place = lender == nullptr ? 0 : lender->lent_begin();
         lender != nullptr && place < lender->size(); ++place) {
      means[row * channels_ + (*lender)[place]] = stored(row - 1, place);
    }
  }
}

}  // namespace adafuse
