#include "microkernels/igemm_nhwc/k_indirection.h"

namespace adafuse {

// Appends `count` units that follow each other, with weights `distance` bytes apart.
Step* StepList::append_run(std::ptrdiff_t input, std::size_t count, std::size_t weight,
                           std::size_t distance) {
  const std::size_t begin = steps_.size();
  const std::int32_t first = step_offset(input), row = step_offset(weight);
  step_offset(input + static_cast<std::ptrdiff_t>(count * kUnit));
  step_offset(weight + count * distance);
  steps_.resize(begin + count);
  Step* const steps = steps_.data() + begin;
  for (std::size_t i = 0; i < count; ++i) {
    steps[i] = {first + static_cast<std::int32_t>(i * kUnit),
                row + static_cast<std::int32_t>(i * distance)};
  }
  return steps;
}

template <typename AppendTap>
void StepList::assign_taps(const InputShape& input, AppendTap append_tap) {
  steps_.clear();
  merged_.clear();
  row_begin_.clear();
  for (std::size_t ky = 0; ky < input.kernel; ++ky) {
    row_begin_.push_back(steps_.size());
    for (std::size_t kx = 0; kx < input.kernel; ++kx) {
      append_tap(
          static_cast<std::ptrdiff_t>(ky * input.layout.row_pitch() + kx * input.layout.pitch),
          ky * input.kernel + kx);
    }
  }
  row_begin_.push_back(steps_.size());
  // Only prefetched.
  steps_.insert(steps_.end(), kStepsAhead, steps_.empty() ? Step{0, 0} : steps_.back());
}

void StepList::assign(const InputShape& input, const TileKernel& kernel, const TemporalShift& shift,
                      Neighbours neighbours) {
  const std::ptrdiff_t frame = static_cast<std::ptrdiff_t>(input.layout.frame_pitch());
  const std::array<ChannelRun, 3> runs = shift.runs(input.channels);
  const std::array<bool, 3> present{neighbours.next, neighbours.previous, true};
  const std::array<std::ptrdiff_t, 3> from{frame, -frame, 0};
  std::size_t weight = 0;
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::size_t first = runs[i].first_unit(kernel.precision);
      const std::size_t units = runs[i].units(kernel.precision);
      if (present[i]) {
        append_run(tap + from[i] + static_cast<std::ptrdiff_t>(first * kUnit), units,
                   weight * kernel.weight_row(), kernel.weight_row());
      }
      weight += units;
    }
  });
}

void StepList::assign(const InputShape& input, const TileKernel& kernel, const CompactChannels& own,
                      const CompactChannels* previous, std::ptrdiff_t distance) {
  const Precision precision = kernel.precision;
  const std::size_t group = per_unit(precision);
  const std::size_t zeros = input.taps() * input.channels;
  step_offset(zeros * kernel.channel_row());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t number) {
    const auto append = [&](const CompactChannels& channels, ChannelRun run, std::ptrdiff_t from) {
      const std::size_t first = run.first_unit(precision);
      if (group == 1) {
        Step* const steps = append_run(tap + from + static_cast<std::ptrdiff_t>(first * kUnit),
                                       run.units(precision), 0, 0);
        const std::size_t before = number * input.channels;
        for (std::size_t place = run.begin; place < run.end; ++place) {
          steps[place - run.begin].weight =
              static_cast<std::int32_t>((before + channels[place]) * kernel.channel_row());
        }
        return;
      }
      for (std::size_t unit = first; unit < first + run.units(precision); ++unit) {
        const std::size_t weight = steps_.size() * kernel.weight_row();
        for (std::size_t place = unit * group; place < (unit + 1) * group; ++place) {
          const bool read = run.begin <= place && place < run.end;
          const std::size_t row = read ? number * input.channels + channels[place] : zeros;
          merged_.push_back(static_cast<std::uint32_t>(row * kernel.channel_row()));
        }
        steps_.push_back({step_offset(tap + from + static_cast<std::ptrdiff_t>(unit * kUnit)),
                          step_offset(weight)});
      }
    };
    append(own, {0, own.kept()}, 0);
    if (previous != nullptr) {
      append(*previous, {previous->lent_begin(), previous->size()}, distance);
    }
  });
  // Only prefetched.
  merged_.insert(merged_.end(), kStepsAhead * group, 0);
}

void StepList::assign(const InputShape& input, const TileKernel& kernel,
                      const std::vector<std::uint32_t>& channels) {
  const std::size_t group = per_unit(kernel.precision);
  const std::size_t row = input.kernel * channels.size() / group;  // units
  const std::size_t depth = round_up(row, kernel.chunk);
  const std::size_t zeros = input.taps() * input.channels;
  step_offset(zeros * kernel.channel_row());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t number) {
    const auto merge = [&](std::size_t of) {
      merged_.push_back(static_cast<std::uint32_t>(of * kernel.channel_row()));
    };
    for (const std::uint32_t channel : channels) {
      merge(channel == kNoChannel ? zeros : number * input.channels + channel);
    }
    if (number % input.kernel == 0) {  // the other taps of the row follow
      append_run(tap, depth, steps_.size() * kernel.weight_row(), kernel.weight_row());
    }
    if ((number + 1) % input.kernel == 0) {
      for (std::size_t i = row * group; i < depth * group; ++i) {
        merge(zeros);
      }
    }
  });
  // Only prefetched.
  merged_.insert(merged_.end(), kStepsAhead * group, 0);
}

Panels StepList::read_panels(const TileKernel& kernel, const Panels& channels, std::size_t begin,
                             std::size_t end, AlignedArray<std::uint32_t>& buffer) const {
  if (per_unit(kernel.precision) == 1) {
    return channels;
  }
  const std::size_t depth = row_begin_.back();
  const std::size_t units = depth * kernel.panel_width();
  std::uint32_t* const merged = buffer.reserve((end - begin) * units);
  for (std::size_t panel = begin; panel < end; ++panel) {
    kernel.interleave(channels[panel], merged_.data(), depth, merged + (panel - begin) * units);
  }
  return {reinterpret_cast<const char*>(merged),
          units * kUnit,
          begin,
          end,
          channels.after(end - 1),
          channels.bytes};
}

}  // namespace adafuse
