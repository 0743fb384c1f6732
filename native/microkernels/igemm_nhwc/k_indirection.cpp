#include "microkernels/igemm_nhwc/k_indirection.h"

namespace adafuse {

// Appends K entries of `count` K groups that follow each other from byte `input` of A on, with rows
// of B from byte `weight` on, `distance` bytes apart.  Returns the first entry.
KEntry* KIndirection::append_run(std::ptrdiff_t input, std::size_t count, std::size_t weight,
                                 std::size_t distance) {
  const std::size_t begin = entries_.size();
  const std::int32_t first = k_offset(input), row = k_offset(weight);
  k_offset(input + static_cast<std::ptrdiff_t>(count * kGroupBytes));
  k_offset(weight + count * distance);
  entries_.resize(begin + count);
  KEntry* const entries = entries_.data() + begin;
  for (std::size_t i = 0; i < count; ++i) {
    entries[i] = {first + static_cast<std::int32_t>(i * kGroupBytes),
                  row + static_cast<std::int32_t>(i * distance)};
  }
  return entries;
}

// Calls append_tap(byte offset in A, number) for every tap, which appends the tap's entries.
template <typename AppendTap>
void KIndirection::assign_taps(const InputShape& input, AppendTap append_tap) {
  entries_.clear();
  merged_.clear();
  row_begin_.clear();
  for (std::size_t ky = 0; ky < input.kernel; ++ky) {
    row_begin_.push_back(entries_.size());
    for (std::size_t kx = 0; kx < input.kernel; ++kx) {
      append_tap(
          static_cast<std::ptrdiff_t>(ky * input.layout.row_pitch() + kx * input.layout.pitch),
          ky * input.kernel + kx);
    }
  }
  row_begin_.push_back(entries_.size());
  // Behind the last entry: only prefetched.
  entries_.insert(entries_.end(), kPrefetchEntries,
                  entries_.empty() ? KEntry{0, 0} : entries_.back());
}

void KIndirection::assign(const InputShape& input, const IgemmKernel& kernel,
                          const TemporalShift& shift, Neighbours neighbours) {
  const std::ptrdiff_t frame = static_cast<std::ptrdiff_t>(input.layout.frame_pitch());
  const std::array<ChannelRun, 3> runs = shift.runs(input.channels);
  const std::array<bool, 3> present{neighbours.next, neighbours.previous, true};
  const std::array<std::ptrdiff_t, 3> from{frame, -frame, 0};
  std::size_t weight = 0;
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::size_t first = runs[i].first_k_group(kernel.precision);
      const std::size_t k_groups = runs[i].k_groups(kernel.precision);
      if (present[i]) {
        append_run(tap + from[i] + static_cast<std::ptrdiff_t>(first * kGroupBytes), k_groups,
                   weight * kernel.b_row_bytes(), kernel.b_row_bytes());
      }
      weight += k_groups;
    }
  });
}

void KIndirection::assign(const InputShape& input, const IgemmKernel& kernel,
                          const ChannelOrder& own, const ChannelOrder* previous,
                          std::ptrdiff_t distance) {
  const Precision precision = kernel.precision;
  const std::size_t k_values = kr(precision);
  const std::size_t zeros = input.taps() * input.channels;
  k_offset(zeros * kernel.b_channel_row_bytes());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t number) {
    const auto append = [&](const ChannelOrder& channels, ChannelRun run, std::ptrdiff_t from) {
      const std::size_t first = run.first_k_group(precision);
      if (k_values == 1) {
        KEntry* const entries =
            append_run(tap + from + static_cast<std::ptrdiff_t>(first * kGroupBytes),
                       run.k_groups(precision), 0, 0);
        const std::size_t before = number * input.channels;
        for (std::size_t place = run.begin; place < run.end; ++place) {
          entries[place - run.begin].b =
              static_cast<std::int32_t>((before + channels[place]) * kernel.b_channel_row_bytes());
        }
        return;
      }
      for (std::size_t k_group = first; k_group < first + run.k_groups(precision); ++k_group) {
        const std::size_t weight = entries_.size() * kernel.b_row_bytes();
        for (std::size_t place = k_group * k_values; place < (k_group + 1) * k_values; ++place) {
          const bool read = run.begin <= place && place < run.end;
          const std::size_t row = read ? number * input.channels + channels[place] : zeros;
          merged_.push_back(static_cast<std::uint32_t>(row * kernel.b_channel_row_bytes()));
        }
        entries_.push_back(
            {k_offset(tap + from + static_cast<std::ptrdiff_t>(k_group * kGroupBytes)),
             k_offset(weight)});
      }
    };
    append(own, {0, own.kept()}, 0);
    if (previous != nullptr) {
      append(*previous, {previous->lent_begin(), previous->size()}, distance);
    }
  });
  // Behind the last entry: only prefetched.
  merged_.insert(merged_.end(), kPrefetchEntries * k_values, 0);
}

void KIndirection::assign(const InputShape& input, const IgemmKernel& kernel,
                          const std::vector<std::uint32_t>& channels) {
  const std::size_t k_values = kr(kernel.precision);
  const std::size_t row = input.kernel * channels.size() / k_values;  // K groups
  const std::size_t depth = round_up(row, kernel.k_block);
  const std::size_t zeros = input.taps() * input.channels;
  k_offset(zeros * kernel.b_channel_row_bytes());
  assign_taps(input, [&](std::ptrdiff_t tap, std::size_t number) {
    const auto merge = [&](std::size_t of) {
      merged_.push_back(static_cast<std::uint32_t>(of * kernel.b_channel_row_bytes()));
    };
    for (const std::uint32_t channel : channels) {
      merge(channel == kNoChannel ? zeros : number * input.channels + channel);
    }
    if (number % input.kernel == 0) {  // the other taps of the row follow
      append_run(tap, depth, entries_.size() * kernel.b_row_bytes(), kernel.b_row_bytes());
    }
    if ((number + 1) % input.kernel == 0) {
      for (std::size_t i = row * k_values; i < depth * k_values; ++i) {
        merge(zeros);
      }
    }
  });
  // Behind the last entry: only prefetched.
  merged_.insert(merged_.end(), kPrefetchEntries * k_values, 0);
}

BPanels KIndirection::read_panels(const IgemmKernel& kernel, const BPanels& channels,
                                  std::size_t begin, std::size_t end, Arena& scratch) const {
  if (kr(kernel.precision) == 1) {
    return channels;
  }
  const std::size_t depth = row_begin_.back();
  const std::size_t k_groups = depth * kernel.nr;
  std::uint32_t* const merged = scratch.take<std::uint32_t>((end - begin) * k_groups);
  for (std::size_t panel = begin; panel < end; ++panel) {
    kernel.pack_chosen_k(channels[panel], merged_.data(), depth,
                         merged + (panel - begin) * k_groups);
  }
  return {reinterpret_cast<const char*>(merged),
          k_groups * kGroupBytes,
          begin,
          end,
          channels.after(end - 1),
          channels.bytes};
}

void KIndirection::add_read_panels(ArenaSize& size, const IgemmKernel& kernel,
                                   std::size_t panels) const {
  if (kr(kernel.precision) > 1) {
    size.add<std::uint32_t>(panels * depth() * kernel.nr);
  }
}

}  // namespace adafuse
