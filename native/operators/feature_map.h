// Feature maps of tests of NHWC operators: their values, how they are stored under a policy, and
// the comparison of stored frames with what they should hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "layout/compact_nhwc.h"

namespace adafuse {

// Sizes of a video tensor (clips, frames, channels, height, width).
struct VideoSize {
  std::size_t clips, frames, height, width;
  std::size_t rows() const { return clips * frames; }
  std::size_t plane() const { return height * width; }
};

// Channels of a feature map (rows, channels, height, width) that lie in one tensor.
struct FeatureMap {
  std::size_t channels = 0;
  std::vector<std::int32_t> actions;  // (rows, channels); empty: stored densely
  std::vector<double> raw;            // values if every action were keep, in stored units

  // Draws actions, or sets all to `action` if it is not negative.
  void decide(std::mt19937& random, const VideoSize& size, int action = -1);
  // The policy of `actions` in a list of one, or an empty list; a view of this map.
  std::vector<Policy> policy(const VideoSize& size) const;
  // Values that the next layer sees: `raw` under the actions.
  std::vector<double> fused(const VideoSize& size) const;

  // Bytes of the map's frames, enough for all channels.
  std::size_t bytes(const VideoSize& size, std::size_t border, Precision precision) const;
  // Writes computed channels and the border to `memory`; all other bytes are not a number.
  void store(const VideoSize& size, std::size_t border, Precision precision, char* memory) const;
  // Checks every stored channel, the border and the means `pooled` (rows, channels), which are in
  // units of `scale`.
  void check(const VideoSize& size, std::size_t border, Precision precision, const char* memory,
             const std::vector<float>& pooled, float scale) const;

 private:
  CompactNhwc order(const VideoSize& size, std::size_t border, Precision precision) const;
};

// The policy in the list of FeatureMap::policy(), or null.
const Policy* pointer(const std::vector<Policy>& policy);

// A number of [least, most].
std::size_t between(std::mt19937& random, std::size_t least, std::size_t most);

// Numbers that bfloat16 can hold, so that only sums and results are rounded.
std::vector<float> draw(std::mt19937& random, std::size_t count, float scale, bool positive);
std::vector<float> draw_integers(std::mt19937& random, std::size_t count, int least, int most);
// Numbers that feature maps hold: none is negative, those of kInt8 are stored integers.
std::vector<float> draw_stored(std::mt19937& random, std::size_t count, Precision precision);

}  // namespace adafuse
