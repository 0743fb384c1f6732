#include "policy/channel_order.h"

#include <algorithm>
#include <numeric>

namespace adafuse {

void ChannelOrder::assign(const Policy* policy, std::size_t frame, std::size_t channels) {
  if (policy == nullptr) {
    order_.resize(channels);
    std::iota(order_.begin(), order_.end(), 0);
    computed_ = kept_ = lent_begin_ = channels;
    return;
  }
  // One list for each kind of channel, filled without a branch: actions follow no pattern.
  order_.resize(4 * channels);
  std::uint32_t* const only_kept = order_.data();
  std::uint32_t* const lists[] = {only_kept + 3 * channels, only_kept, only_kept + 2 * channels,
                                  only_kept + channels};
  std::size_t sizes[4] = {};
  const Policy::Frame choices = (*policy)[frame];
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const unsigned kind = unsigned{choices.keeps(channel)} | unsigned{choices.lends(channel)} << 1;
    lists[kind][sizes[kind]++] = static_cast<std::uint32_t>(channel);
  }
  lent_begin_ = sizes[1];
  kept_ = lent_begin_ + sizes[3];
  computed_ = kept_ + sizes[2];
  std::copy_n(lists[3], sizes[3], only_kept + lent_begin_);
  std::copy_n(lists[2], sizes[2], only_kept + kept_);
  order_.resize(computed_);
}

void ChannelOrder::assign_reused(const Policy& policy, std::size_t frame,
                                 const std::int32_t* missing) {
  order_.clear();
  kept_ = lent_begin_ = 0;
  const auto append = [&](bool wanted) {
    for (std::size_t channel = 0; channel < policy.channels(); ++channel) {
      if (policy.reuses(frame, channel) && (missing[channel] != 0) == wanted) {
        order_.push_back(static_cast<std::uint32_t>(channel));
      }
    }
    return order_.size();
  };
  computed_ = append(true);
  append(false);
}

}  // namespace adafuse
