// Which channels a conditional convolution computes, copies, clears and reads.
//
// A policy holds one action per clip, frame and channel.  Frames are flattened batch-major: row
// n * T + t of an activation is frame t of clip n.  All rules about actions live here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace adafuse {

enum class Action : std::int32_t {
  kKeep = 0,   // compute the channel
  kReuse = 1,  // copy what the convolution gives for the previous frame (zeros for the first)
  kSkip = 2,   // zeros
};

// A view of a policy (clips, frames, channels) of 32-bit actions.
class Policy {
 public:
  // Throws std::invalid_argument, calling the policy `name`, when a value is no action.
  Policy(const std::string& name, const std::int32_t* actions, std::size_t clips,
         std::size_t frames, std::size_t channels);

  std::size_t rows() const { return rows_; }
  std::size_t frames() const { return frames_; }  // of a clip
  std::size_t channels() const { return channels_; }

  // One row's choices.
  class Row {
   public:
    bool keeps(std::size_t channel) const { return is(own_, channel, Action::kKeep); }
    bool lends(std::size_t channel) const {
      return next_ != nullptr && is(next_, channel, Action::kReuse);
    }

   private:
    friend class Policy;
    Row(const std::int32_t* own, const std::int32_t* next) : own_(own), next_(next) {}
    static bool is(const std::int32_t* actions, std::size_t channel, Action action) {
      return static_cast<Action>(actions[channel]) == action;
    }
    const std::int32_t* own_;
    const std::int32_t* next_;  // null behind a clip's last frame
  };
  Row operator[](std::size_t row) const {
    const std::int32_t* const own = actions_ + row * channels_;
    return {own, is_first(row + 1) ? nullptr : own + channels_};
  }

  // The channel of this row is in the output as the convolution gives it.
  bool keeps(std::size_t row, std::size_t channel) const {
    return action(row, channel) == Action::kKeep;
  }

  // The channel is what the convolution gave for the previous frame.
  bool reuses(std::size_t row, std::size_t channel) const {
    return action(row, channel) == Action::kReuse;
  }

  bool skips(std::size_t row, std::size_t channel) const {
    return action(row, channel) == Action::kSkip;
  }

  // The next frame of the same clip copies the channel from this row.
  bool lends(std::size_t row, std::size_t channel) const {
    return !is_first(row + 1) && reuses(row + 1, channel);
  }

  // The convolution of this row is wanted, here or by the next frame.
  bool computes(std::size_t row, std::size_t channel) const {
    return keeps(row, channel) || lends(row, channel);
  }

  // The channel is all zeros in this row.
  bool clears(std::size_t row, std::size_t channel) const {
    return skips(row, channel) || (reuses(row, channel) && is_first(row));
  }

 private:
  Action action(std::size_t row, std::size_t channel) const {
    return static_cast<Action>(actions_[row * channels_ + channel]);
  }
  // Also true for the row after the last, which begins no clip but follows none either.
  bool is_first(std::size_t row) const { return row % frames_ == 0; }

  const std::int32_t* actions_;
  std::size_t rows_;
  std::size_t frames_;
  std::size_t channels_;
};

// Ascending channel numbers of one row.
struct ChannelList {
  const std::uint32_t* data;
  std::size_t size;

  const std::uint32_t* begin() const { return data; }
  const std::uint32_t* end() const { return data + size; }
};

// One ChannelList per row.
class ChannelLists {
 public:
  // What a GatedConv computes: every channel of `rows` rows, or those its policy wants.
  static ChannelLists computed(std::size_t rows, std::size_t channels, const Policy* policy);

  // What a convolution reads: every channel, or those its input's policy does not clear.
  static ChannelLists read(std::size_t rows, std::size_t channels, const Policy* policy);

  // Of streams, whose rows follow frames that are not among the rows: what is kept; what is reused
  // although it is `missing` (rows, channels; not zero where it was not computed); and what a
  // convolution reads, every channel or those its input's policy does not skip.
  static ChannelLists kept(const Policy& policy);
  static ChannelLists late(const Policy& policy, const std::int32_t* missing);
  static ChannelLists unskipped(std::size_t rows, std::size_t channels, const Policy* policy);

  ChannelList operator[](std::size_t row) const {
    return {channels_.data() + begins_[row], begins_[row + 1] - begins_[row]};
  }

 private:
  template <typename Predicate>
  ChannelLists(std::size_t rows, std::size_t channels, Predicate wanted);

  std::vector<std::uint32_t> channels_;
  std::vector<std::size_t> begins_;
};

}  // namespace adafuse
