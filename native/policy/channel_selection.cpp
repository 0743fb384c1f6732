#include "policy/channel_selection.h"

#include <stdexcept>

namespace adafuse {

Policy::Policy(const std::string& name, const std::int32_t* actions, std::size_t clips,
               std::size_t frames_per_clip, std::size_t channels)
    : actions_(actions),
      frames_(clips * frames_per_clip),
      frames_per_clip_(frames_per_clip),
      channels_(channels) {
  for (std::size_t i = 0; i < frames_ * channels_; ++i) {
    if (actions[i] < 0 || actions[i] > 2) {
      const std::size_t frame = i / channels_;
      throw std::invalid_argument(name + " holds " + std::to_string(actions[i]) + " for clip " +
                                  std::to_string(frame / frames_per_clip_) + ", frame " +
                                  std::to_string(frame % frames_per_clip_) + ", channel " +
                                  std::to_string(i % channels_) +
                                  "; an action is 0 (keep), 1 (reuse) or 2 (skip).");
    }
  }
}

template <typename Predicate>
ChannelLists::ChannelLists(std::size_t frames, std::size_t channels, Predicate wanted) {
  channels_.reserve(frames * channels);
  begins_.reserve(frames + 1);
  begins_.push_back(0);
  for (std::size_t frame = 0; frame < frames; ++frame) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      if (wanted(frame, channel)) {
        channels_.push_back(static_cast<std::uint32_t>(channel));
      }
    }
    begins_.push_back(channels_.size());
  }
}

ChannelLists ChannelLists::computed(std::size_t frames, std::size_t channels,
                                    const Policy* policy) {
  return ChannelLists(frames, channels, [=](std::size_t frame, std::size_t channel) {
    return policy == nullptr || policy->computes(frame, channel);
  });
}

ChannelLists ChannelLists::read(std::size_t frames, std::size_t channels, const Policy* policy) {
  return ChannelLists(frames, channels, [=](std::size_t frame, std::size_t channel) {
    return policy == nullptr || !policy->clears(frame, channel);
  });
}

ChannelLists ChannelLists::kept(const Policy& policy) {
  return ChannelLists(
      policy.frames(), policy.channels(),
      [&](std::size_t frame, std::size_t channel) { return policy.keeps(frame, channel); });
}

ChannelLists ChannelLists::deferred(const Policy& policy, const std::int32_t* missing) {
  return ChannelLists(
      policy.frames(), policy.channels(), [&](std::size_t frame, std::size_t channel) {
        return policy.reuses(frame, channel) && missing[frame * policy.channels() + channel] != 0;
      });
}

ChannelLists ChannelLists::unskipped(std::size_t frames, std::size_t channels,
                                     const Policy* policy) {
  return ChannelLists(frames, channels, [=](std::size_t frame, std::size_t channel) {
    return policy == nullptr || !policy->skips(frame, channel);
  });
}

}  // namespace adafuse
