// The order in which a gated convolution stores the channels it computes.
//
// Only computed channels are stored, side by side: first those that only this frame keeps, then
// those that it keeps and the next frame reuses, then those that only the next frame reuses.  So
// what a frame reads is one run of its own channels and one of the previous frame's: the choice
// between keep, reuse and skip costs no copy.
#pragma once

#include <cstdint>
#include <vector>

#include "policy/channel_selection.h"

namespace adafuse {

// Channels of one frame in the order in which they are stored; a channel's index in it is its
// place.
class ChannelOrder {
 public:
  // Orders the channels that a frame computes.  Without a policy every channel is kept.
  void assign(const Policy* policy, std::size_t frame, std::size_t channels);

  // Orders the channels that a stream's frame reuses of the frame before: first the missing ones,
  // then the rest.  `missing` (channels): not zero where the frame before did not compute a
  // channel.
  void assign_reused(const Policy& policy, std::size_t frame, const std::int32_t* missing);

  std::size_t size() const { return order_.size(); }
  // Channels that are computed now, the first of the order: all, or of assign_reused() the missing
  // ones.
  std::size_t computed() const { return computed_; }
  // The channel stored at a place.
  std::uint32_t operator[](std::size_t place) const { return order_[place]; }

  // Places of the channels that this frame reads: 0 ... kept() - 1.
  std::size_t kept() const { return kept_; }
  // Places of those the next frame reads: lent_begin() ... size() - 1.
  std::size_t lent_begin() const { return lent_begin_; }

 private:
  std::vector<std::uint32_t> order_;
  std::size_t computed_ = 0;
  std::size_t kept_ = 0;
  std::size_t lent_begin_ = 0;
};

}  // namespace adafuse
