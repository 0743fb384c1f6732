#include "kernels/compact_frames.h"

#include <algorithm>

namespace adafuse {

void CompactFrames::assign(const Policy* policy, std::size_t rows, std::size_t channels,
                           const FrameLayout& plane, Precision precision,
                           const ParallelFor& parallel_for) {
  rows_ = rows;
  frames_ = policy == nullptr ? 1 : policy->frames();
  channels_ = channels;
  layout_ = plane;
  order_.resize(std::max(order_.size(), rows));
  parallel_for(rows, [&](std::size_t row) { order_[row].assign(policy, row, channels); });
  std::size_t most = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    most = std::max(most, order_[row].size());
  }
  layout_.pitch = channel_pitch(most, precision);
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
