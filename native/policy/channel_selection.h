// Policies, and the channels that a conditional convolution computes, copies, clears and reads
// under them.
//
// A policy holds one action per clip, frame and channel.  Frames are flattened batch-major: frame
// n * T + t of an activation is frame t of clip n.  All rules about actions live here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace adafuse {

enum class Action : std::int32_t {
  kKeep = 0,   // compute the channel
  kReuse = 1,  // copy the convolution's result for the previous frame (zeros for the first)
  kSkip = 2,   // zeros
};

// A view of a policy (clips, frames_per_clip, channels) of 32-bit actions.
class Policy {
 public:
  // Throws std::invalid_argument, calling the policy `name`, when a value is no action.
  Policy(const std::string& name, const std::int32_t* actions, std::size_t clips,
         std::size_t frames_per_clip, std::size_t channels);

  std::size_t frames() const { return frames_; }  // of all clips
  std::size_t frames_per_clip() const { return frames_per_clip_; }
  std::size_t channels() const { return channels_; }

  // The actions of one frame and of the next one in its clip: a view.
  class Frame {
   public:
    bool keeps(std::size_t channel) const { return is(own_, channel, Action::kKeep); }
    bool lends(std::size_t channel) const {
      return next_ != nullptr && is(next_, channel, Action::kReuse);
    }

   private:
    friend class Policy;
    Frame(const std::int32_t* own, const std::int32_t* next) : own_(own), next_(next) {}
    static bool is(const std::int32_t* actions, std::size_t channel, Action action) {
      return static_cast<Action>(actions[channel]) == action;
    }
    const std::int32_t* own_;
    const std::int32_t* next_;  // null behind a clip's last frame
  };
  Frame operator[](std::size_t frame) const {
    const std::int32_t* const own = actions_ + frame * channels_;
    return {own, is_first(frame + 1) ? nullptr : own + channels_};
  }

  // The channel of this frame is in the output as the convolution gives it.
  bool keeps(std::size_t frame, std::size_t channel) const {
    return action(frame, channel) == Action::kKeep;
  }

  // The channel is the convolution's result for the previous frame.
  bool reuses(std::size_t frame, std::size_t channel) const {
    return action(frame, channel) == Action::kReuse;
  }

  bool skips(std::size_t frame, std::size_t channel) const {
    return action(frame, channel) == Action::kSkip;
  }

  // The next frame of the same clip copies the channel from this frame.
  bool lends(std::size_t frame, std::size_t channel) const {
    return !is_first(frame + 1) && reuses(frame + 1, channel);
  }

  // The convolution is computed for this frame: the frame keeps it or the next one reuses it.
  bool computes(std::size_t frame, std::size_t channel) const {
    return keeps(frame, channel) || lends(frame, channel);
  }

  // The channel is all zeros in this frame.
  bool clears(std::size_t frame, std::size_t channel) const {
    return skips(frame, channel) || (reuses(frame, channel) && is_first(frame));
  }

 private:
  Action action(std::size_t frame, std::size_t channel) const {
    return static_cast<Action>(actions_[frame * channels_ + channel]);
  }
  // Whether a frame begins a clip; also true for the frame behind the last, which follows none.
  bool is_first(std::size_t frame) const { return frame % frames_per_clip_ == 0; }

  const std::int32_t* actions_;
  std::size_t frames_;
  std::size_t frames_per_clip_;
  std::size_t channels_;
};

// Ascending channel numbers of one frame.
struct ChannelList {
  const std::uint32_t* data;
  std::size_t size;

  const std::uint32_t* begin() const { return data; }
  const std::uint32_t* end() const { return data + size; }
};

// One ChannelList per frame.
class ChannelLists {
 public:
  // Outputs that a GatedConv computes: every channel of `frames` frames, or those its policy
  // computes.
  static ChannelLists computed(std::size_t frames, std::size_t channels, const Policy* policy);

  // Inputs of a convolution: every channel, or those its input's policy does not clear.
  static ChannelLists read(std::size_t frames, std::size_t channels, const Policy* policy);

  // Outputs that the frames of streams keep.
  static ChannelLists kept(const Policy& policy);
  // Outputs of streams that are computed a frame late: reused although the frame before did not
  // compute them.  `missing` (frames, channels): not zero for those.
  static ChannelLists deferred(const Policy& policy, const std::int32_t* missing);
  // Inputs that a convolution of streams reads: every channel, or those its input's policy does not
  // skip.
  static ChannelLists unskipped(std::size_t frames, std::size_t channels, const Policy* policy);

  ChannelList operator[](std::size_t frame) const {
    return {channels_.data() + begins_[frame], begins_[frame + 1] - begins_[frame]};
  }

 private:
  template <typename Predicate>
  ChannelLists(std::size_t frames, std::size_t channels, Predicate wanted);

  std::vector<std::uint32_t> channels_;
  std::vector<std::size_t> begins_;
};

}  // namespace adafuse
