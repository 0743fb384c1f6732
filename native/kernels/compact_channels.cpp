#include "kernels/compact_channels.h"

#include <numeric>

namespace adafuse {

void CompactChannels::assign(const Policy* policy, std::size_t row, std::size_t channels) {
  order_.resize(channels);
  if (policy == nullptr) {
    std::iota(order_.begin(), order_.end(), 0);
    computed_ = kept_ = lent_begin_ = channels;
    return;
  }
  // Counted and then put in their places, without a branch: choices follow no pattern.
  const Policy::Row choices = (*policy)[row];
  const auto kind = [&](std::size_t channel) {
    const bool keeps = choices.keeps(channel), lends = choices.lends(channel);
    return keeps ? (lends ? 1 : 0) : (lends ? 2 : 3);
  };
  std::size_t counts[4] = {};
  for (std::size_t channel = 0; channel < channels; ++channel) {
    ++counts[kind(channel)];
  }
  lent_begin_ = counts[0];
  kept_ = counts[0] + counts[1];
  computed_ = kept_ + counts[2];
  std::size_t places[4] = {0, lent_begin_, kept_, computed_};
  for (std::size_t channel = 0; channel < channels; ++channel) {
    order_[places[kind(channel)]++] = static_cast<std::uint32_t>(channel);
  }
  order_.resize(computed_);
}

void CompactChannels::assign_reused(const Policy& policy, std::size_t row,
                                    const std::int32_t* missing) {
  order_.clear();
  kept_ = lent_begin_ = 0;
  const auto append = [&](bool wanted) {
    for (std::size_t channel = 0; channel < policy.channels(); ++channel) {
      if (policy.reuses(row, channel) && (missing[channel] != 0) == wanted) {
        order_.push_back(static_cast<std::uint32_t>(channel));
      }
    }
    return order_.size();
  };
  computed_ = append(true);
  append(false);
}

}  // namespace adafuse
