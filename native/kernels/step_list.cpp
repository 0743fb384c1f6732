#include "kernels/step_list.h"

#include <limits>
#include <stdexcept>

namespace adafuse {
namespace {

constexpr std::ptrdiff_t kFloat = sizeof(float);

std::int32_t offset(std::ptrdiff_t floats) {
  const std::ptrdiff_t bytes = floats * kFloat;
  if (bytes > std::numeric_limits<std::int32_t>::max() ||
      bytes < std::numeric_limits<std::int32_t>::min()) {
    throw std::invalid_argument("the frames are too large: two of them must fit into 2 GiB");
  }
  return static_cast<std::int32_t>(bytes);
}

}  // namespace

template <typename AppendTap>
void StepList::assign_taps(const InputShape& input, AppendTap append_tap) {
  steps_.clear();
  for (std::size_t ky = 0; ky < input.kernel; ++ky) {
    row_begin_[ky] = steps_.size();
    for (std::size_t kx = 0; kx < input.kernel; ++kx) {
      append_tap(
          static_cast<std::ptrdiff_t>(ky * input.layout.row_pitch() + kx * input.layout.pitch),
          (ky * input.kernel + kx) * input.channels);
    }
  }
  row_begin_[input.kernel] = steps_.size();
  // Only prefetched.
  steps_.insert(steps_.end(), kStepsAhead, steps_.empty() ? Step{0, 0} : steps_.back());
}

void StepList::assign(const InputShape& input, const TemporalShift& shift, Neighbours neighbours,
                      std::size_t panel_width) {
  const std::ptrdiff_t frame = static_cast<std::ptrdiff_t>(input.layout.frame_pitch());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t first_weight) {
    const auto append = [&](std::size_t begin, std::size_t end, std::ptrdiff_t from) {
      for (std::size_t channel = begin; channel < end; ++channel) {
        steps_.push_back(
            {offset(tap + from + static_cast<std::ptrdiff_t>(channel)),
             offset(static_cast<std::ptrdiff_t>((first_weight + channel) * panel_width))});
      }
    };
    const std::size_t own = shift.from_next + shift.from_previous;
    if (neighbours.next) {
      append(0, shift.from_next, frame);
    }
    if (neighbours.previous) {
      append(shift.from_next, own, -frame);
    }
    append(own, input.channels, 0);
  });
}

void StepList::assign(const InputShape& input, const CompactChannels& own,
                      const CompactChannels* previous, std::size_t panel_width) {
  const std::ptrdiff_t frame = static_cast<std::ptrdiff_t>(input.layout.frame_pitch());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t first_weight) {
    const auto append = [&](const CompactChannels& channels, std::size_t begin, std::size_t end,
                            std::ptrdiff_t from) {
      for (std::size_t place = begin; place < end; ++place) {
        steps_.push_back(
            {offset(tap + from + static_cast<std::ptrdiff_t>(place)),
             offset(static_cast<std::ptrdiff_t>((first_weight + channels[place]) * panel_width))});
      }
    };
    append(own, 0, own.kept(), 0);
    if (previous != nullptr) {
      append(*previous, previous->lent_begin(), previous->size(), -frame);
    }
  });
}

}  // namespace adafuse
