#include "microkernels/igemm_nhwc/compact_input.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace adafuse {
namespace {

// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

// Copies K groups in pieces of constant sizes, which need no call of memcpy().
void copy_k_groups(const char* from, std::size_t k_groups, char* to) {
  const auto copy = [&](auto size) {
    for (; k_groups >= size / kGroupBytes; k_groups -= size / kGroupBytes) {
      std::memcpy(to, from, size);
      from += size;
      to += size;
    }
  };
  copy(std::integral_constant<std::size_t, 8 * kGroupBytes>{});
  copy(std::integral_constant<std::size_t, 4 * kGroupBytes>{});
  copy(std::integral_constant<std::size_t, kGroupBytes>{});
}

// Appends the channels of all K groups of a run, kNoChannel where they are not read.
void append_channels(const ChannelOrder& stored, const ChannelRun& run, std::size_t first,
                     Precision precision, std::vector<std::uint32_t>& channels) {
  const std::size_t k_values = kr(precision);
  const std::size_t begin = run.first_k_group(precision) * k_values;
  for (std::size_t place = begin; place < begin + run.k_groups(precision) * k_values; ++place) {
    const bool read = run.begin <= place && place < run.end;
    channels.push_back(read ? static_cast<std::uint32_t>(first + stored[place]) : kNoChannel);
  }
}

}  // namespace

void CompactInputs::reset(std::size_t frames, bool merges) {
  merges_ = merges;
  count_ = frames;
  frames_.resize(std::max(frames_.size(), frames));
  for (std::size_t i = 0; i < frames; ++i) {
    frames_[i].sources.clear();
  }
}

void CompactInputs::add(std::size_t frame, const CompactInput& source) {
  frames_[frame].sources.push_back(source);
}

void CompactInputs::find_runs(Frame& frame, const IgemmKernel& kernel) {
  frame.shape = frame.sources[0].shape;
  frame.runs.clear();
  std::size_t first = 0, k_groups = 0;
  const auto append = [&](const char* data, const NhwcLayout& layout, const ChannelOrder& channels,
                          const ChannelRun& places) {
    k_groups += places.k_groups(kernel.precision);
    frame.runs.push_back({data, &layout, &channels, places, first});
  };
  for (const CompactInput& source : frame.sources) {
    const NhwcLayout& layout = source.shape.layout;
    append(source.data, layout, source.own, {0, source.own.kept()});
    if (source.previous != nullptr) {
      append(source.data + source.distance, layout, *source.previous,
             {source.previous->lent_begin(), source.previous->size()});
    }
    first += source.shape.channels;
  }
  frame.shape.channels = first;
  frame.shape.layout.border = frame.shape.pad();
  frame.shape.layout.pitch = k_groups * kGroupBytes;
}

void CompactInputs::copy_frame(const Frame& frame, Precision precision, char* data,
                               ImageRows range) {
  const NhwcLayout& to = frame.shape.layout;
  to.clear_border(data, range.begin, range.end);
  for (std::size_t y = range.begin; y < range.end; ++y) {
    const std::ptrdiff_t line = static_cast<std::ptrdiff_t>(y);
    char* place = data + to.offset(line, 0);
    for (const Run& run : frame.runs) {
      const char* const from = run.data + run.layout->offset(line, 0) +
                               run.places.first_k_group(precision) * kGroupBytes;
      const std::size_t k_groups = run.places.k_groups(precision);
      for (std::size_t x = 0; x < to.width; ++x) {
        copy_k_groups(from + x * run.layout->pitch, k_groups, place + x * to.pitch);
      }
      place += k_groups * kGroupBytes;
    }
  }
}

std::size_t CompactInputs::plan(const IgemmKernel& kernel) {
  if (!merges_) {
    return 0;
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    find_runs(frames_[i], kernel);
    frames_[i].place = bytes;
    bytes += round_up(frames_[i].shape.layout.frame_pitch() + kernel.k_block * kGroupBytes, kLine);
  }
  return bytes;
}

std::size_t CompactInputs::read_panels_bytes(const IgemmKernel& kernel, std::size_t panels) const {
  std::size_t most = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    ArenaSize size;
    frames_[i].indirection.add_read_panels(size, kernel, panels);
    most = std::max(most, size.bytes());
  }
  return most;
}

void CompactInputs::finish(const IgemmKernel& kernel, char* memory,
                           const ParallelFor& parallel_for) {
  if (!merges_) {
    parallel_for(count_, [&](std::size_t index) {
      Frame& frame = frames_[index];
      const CompactInput& source = frame.sources[0];
      frame.data = source.data;
      frame.shape = source.shape;
      frame.indirection.assign(frame.shape, kernel, source.own, source.previous, source.distance);
    });
    return;
  }
  // Bytes behind the last pixel, which K entries that fill up a row of the kernel read: zeros, as
  // NaN would not vanish beside weights of zero.
  const std::size_t rest = kernel.k_block * kGroupBytes;
  const std::size_t parts = (kEnoughTasks + count_ - 1) / count_;
  parallel_for(count_ * parts, [&](std::size_t task) {
    Frame& frame = frames_[task / parts];
    const std::size_t part = task % parts, height = frame.shape.layout.height;
    char* const data = memory + frame.place;
    copy_frame(frame, kernel.precision, data, {height * part / parts, height * (part + 1) / parts});
    if (part > 0) {
      return;
    }
    std::memset(data + frame.shape.layout.frame_pitch(), 0, rest);
    frame.channels.clear();
    for (const Run& run : frame.runs) {
      append_channels(*run.channels, run.places, run.first, kernel.precision, frame.channels);
    }
    frame.data = data;
    frame.indirection.assign(frame.shape, kernel, frame.channels);
  });
}

}  // namespace adafuse
