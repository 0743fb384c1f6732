#include "policy/channel_selection.h"

#include <stdexcept>

namespace adafuse {

Policy::Policy(const std::string& name, const std::int32_t* actions, std::size_t clips,
               std::size_t frames, std::size_t channels)
    : actions_(actions), rows_(clips * frames), frames_(frames), channels_(channels) {
  for (std::size_t i = 0; i < rows_ * channels_; ++i) {
    if (actions[i] < 0 || actions[i] > 2) {
      const std::size_t row = i / channels_;
      throw std::invalid_argument(name + " holds " + std::to_string(actions[i]) + " for clip " +
                                  std::to_string(row / frames_) + ", frame " +
                                  std::to_string(row % frames_) + ", channel " +
                                  std::to_string(i % channels_) +
                                  "; an action is 0 (keep), 1 (reuse) or 2 (skip).");
    }
  }
}

template <typename Predicate>
ChannelLists::ChannelLists(std::size_t rows, std::size_t channels, Predicate wanted) {
  channels_.reserve(rows * channels);
  begins_.reserve(rows + 1);
  begins_.push_back(0);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      if (wanted(row, channel)) {
        channels_.push_back(static_cast<std::uint32_t>(channel));
      }
    }
    begins_.push_back(channels_.size());
  }
}

ChannelLists ChannelLists::computed(std::size_t rows, std::size_t channels, const Policy* policy) {
  return ChannelLists(rows, channels, [=](std::size_t row, std::size_t channel) {
    return policy == nullptr || policy->computes(row, channel);
  });
}

ChannelLists ChannelLists::read(std::size_t rows, std::size_t channels, const Policy* policy) {
  return ChannelLists(rows, channels, [=](std::size_t row, std::size_t channel) {
    return policy == nullptr || !policy->clears(row, channel);
  });
}

ChannelLists ChannelLists::kept(const Policy& policy) {
  return ChannelLists(policy.rows(), policy.channels(), [&](std::size_t row, std::size_t channel) {
    return policy.keeps(row, channel);
  });
}

ChannelLists ChannelLists::late(const Policy& policy, const std::int32_t* missing) {
  return ChannelLists(policy.rows(), policy.channels(), [&](std::size_t row, std::size_t channel) {
    return policy.reuses(row, channel) && missing[row * policy.channels() + channel] != 0;
  });
}

ChannelLists ChannelLists::unskipped(std::size_t rows, std::size_t channels, const Policy* policy) {
  return ChannelLists(rows, channels, [=](std::size_t row, std::size_t channel) {
    return policy == nullptr || !policy->skips(row, channel);
  });
}

}  // namespace adafuse
