#include "operators/residual_history.h"

#include <algorithm>

namespace adafuse {
namespace {

// Copies the values of a pixel at `places` and puts `filling` zeros behind them.
template <typename Value>
void copy_values(const char* from, const std::vector<std::size_t>& places, char* to,
                 std::size_t filling) {
  const Value* const values = reinterpret_cast<const Value*>(from);
  Value* const copied = reinterpret_cast<Value*>(to);
  for (std::size_t i = 0; i < places.size(); ++i) {
    copied[i] = values[places[i]];
  }
  std::fill_n(copied + places.size(), filling, Value{0});
}

}  // namespace

void write_states(const Policy& policy, std::int32_t* next_missing) {
  for (std::size_t frame = 0; frame < policy.frames(); ++frame) {
    for (std::size_t channel = 0; channel < policy.channels(); ++channel) {
      const MidState state = policy.keeps(frame, channel)    ? MidState::kStored
                             : policy.reuses(frame, channel) ? MidState::kReused
                                                             : MidState::kSkipped;
      next_missing[frame * policy.channels() + channel] = static_cast<std::int32_t>(state);
    }
  }
}

ReusedChannels::ReusedChannels(const ResidualPlan& plan, const ResidualBlockHistory& history)
    : plan_(plan), from_(history.convolution), frames_(plan.frames) {
  const std::size_t channels = plan.block.mid_channels();
  for (std::size_t frame = 0; frame < plan.frames; ++frame) {
    const ChannelOrder& reused = plan.orders[plan.frames + frame];
    const std::int32_t* const missing = history.missing + frame * channels;
    std::vector<std::size_t>& places = frames_[frame].places;
    std::size_t place = 0, next = reused.computed();
    for (std::size_t channel = 0; next < reused.size(); ++channel) {
      if (missing[channel] == static_cast<std::int32_t>(MidState::kStored)) {
        if (reused[next] == channel) {
          places.push_back(place);
          ++next;
        }
        ++place;
      }
    }
    const auto count = [&](MidState state) {
      return static_cast<std::size_t>(
          std::count(missing, missing + channels, static_cast<std::int32_t>(state)));
    };
    frames_[frame].layout = plan.mid_layout(count(MidState::kStored), count(MidState::kReused));
  }
}

void ReusedChannels::copy(std::size_t frame, ImageRows rows, char* to) const {
  const ChannelOrder& reused = plan_.orders[plan_.frames + frame];
  const Precision precision = plan_.kernel.precision;
  const std::size_t bytes = value_bytes(precision);
  const std::vector<std::size_t>& places = frames_[frame].places;
  // Zeros behind the last channel, up to a whole K group: they meet weights of zero, but must not
  // be NaN.
  const std::size_t filling = round_up(reused.size(), kr(precision)) - reused.size();
  if (places.size() + filling == 0) {
    return;
  }
  const auto copy_pixel = bytes == 4   ? copy_values<std::uint32_t>
                          : bytes == 2 ? copy_values<std::uint16_t>
                                       : copy_values<std::uint8_t>;
  const NhwcLayout& from_layout = frames_[frame].layout;
  const NhwcLayout& to_layout = plan_.conv2_inputs[frame].layout;
  const char* const from = from_ + frame * plan_.mid_bytes;
  to += reused.computed() * bytes;
  for (std::size_t y = rows.begin; y < rows.end; ++y) {
    const std::ptrdiff_t line = static_cast<std::ptrdiff_t>(y);
    for (std::size_t x = 0; x < plan_.conv2.layout.width; ++x) {
      const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(x);
      copy_pixel(from + from_layout.offset(line, column), places,
                 to + to_layout.offset(line, column), filling);
    }
  }
}

}  // namespace adafuse
