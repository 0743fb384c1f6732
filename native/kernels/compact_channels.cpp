#include "kernels/compact_channels.h"

namespace adafuse {

void CompactChannels::assign(const Policy* policy, std::size_t row, std::size_t channels) {
  order_.clear();
  const auto append = [&](bool kept, bool lent) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const bool keeps = policy == nullptr || policy->keeps(row, channel);
      const bool lends = policy != nullptr && policy->lends(row, channel);
      if (keeps == kept && lends == lent) {
        order_.push_back(static_cast<std::uint32_t>(channel));
      }
    }
    return order_.size();
  };
  lent_begin_ = append(true, false);
  kept_ = append(true, true);
  append(false, true);
  computed_ = order_.size();
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
