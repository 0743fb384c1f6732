#include "microkernels/igemm_nhwc/compact_input.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace adafuse {
namespace {

// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

// Copies of constant sizes need no call.
void copy_units(const char* from, std::size_t units, char* to) {
  const auto copy = [&](auto size) {
    for (; units >= size / kUnit; units -= size / kUnit) {
      std::memcpy(to, from, size);
      from += size;
      to += size;
    }
  };
  copy(std::integral_constant<std::size_t, 8 * kUnit>{});
  copy(std::integral_constant<std::size_t, 4 * kUnit>{});
  copy(std::integral_constant<std::size_t, kUnit>{});
}

// The channels of all units of a run, or kNoChannel.
void append_channels(const CompactChannels& stored, const ChannelRun& run, std::size_t first,
                     Precision precision, std::vector<std::uint32_t>& channels) {
  const std::size_t group = per_unit(precision);
  const std::size_t begin = run.first_unit(precision) * group;
  for (std::size_t place = begin; place < begin + run.units(precision) * group; ++place) {
    const bool read = run.begin <= place && place < run.end;
    channels.push_back(read ? static_cast<std::uint32_t>(first + stored[place]) : kNoChannel);
  }
}

}  // namespace

void CompactReads::reset(std::size_t rows, bool gathers) {
  gathers_ = gathers;
  count_ = rows;
  rows_.resize(std::max(rows_.size(), rows));
  for (std::size_t i = 0; i < rows; ++i) {
    rows_[i].sources.clear();
  }
}

void CompactReads::add(std::size_t row, const CompactSource& source) {
  rows_[row].sources.push_back(source);
}

void CompactReads::find_runs(Row& row, const TileKernel& kernel) {
  row.shape = row.sources[0].shape;
  row.runs.clear();
  std::size_t first = 0, units = 0;
  const auto append = [&](const char* frame, const FrameLayout& layout,
                          const CompactChannels& channels, const ChannelRun& places) {
    units += places.units(kernel.precision);
    row.runs.push_back({frame, &layout, &channels, places, first});
  };
  for (const CompactSource& source : row.sources) {
    const FrameLayout& layout = source.shape.layout;
    append(source.frame, layout, source.own, {0, source.own.kept()});
    if (source.previous != nullptr) {
      append(source.frame + source.distance, layout, *source.previous,
             {source.previous->lent_begin(), source.previous->size()});
    }
    first += source.shape.channels;
  }
  row.shape.channels = first;
  row.shape.layout.border = row.shape.pad();
  row.shape.layout.pitch = units * kUnit;
}

void CompactReads::gather(const Row& row, Precision precision, char* frame, RowRange range) {
  const FrameLayout& to = row.shape.layout;
  to.clear_border(frame, range.begin, range.end);
  for (std::size_t y = range.begin; y < range.end; ++y) {
    const std::ptrdiff_t line = static_cast<std::ptrdiff_t>(y);
    char* place = frame + to.offset(line, 0);
    for (const Run& run : row.runs) {
      const char* const from =
          run.frame + run.layout->offset(line, 0) + run.places.first_unit(precision) * kUnit;
      const std::size_t units = run.places.units(precision);
      for (std::size_t x = 0; x < to.width; ++x) {
        copy_units(from + x * run.layout->pitch, units, place + x * to.pitch);
      }
      place += units * kUnit;
    }
  }
}

void CompactReads::finish(const TileKernel& kernel, const ParallelFor& parallel_for) {
  if (!gathers_) {
    parallel_for(count_, [&](std::size_t index) {
      Row& row = rows_[index];
      const CompactSource& source = row.sources[0];
      row.frame = source.frame;
      row.shape = source.shape;
      row.steps.assign(row.shape, kernel, source.own, source.previous, source.distance);
    });
    return;
  }
  // Steps that fill up a row of the kernel read behind the last pixel, and must find numbers.
  const std::size_t rest = kernel.chunk * kUnit;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    find_runs(rows_[i], kernel);
    rows_[i].place = bytes;
    bytes += round_up(rows_[i].shape.layout.frame_pitch() + rest, kLine);
  }
  char* const gathered = gathered_.reserve(bytes);
  const std::size_t parts = (kEnoughTasks + count_ - 1) / count_;
  parallel_for(count_ * parts, [&](std::size_t task) {
    Row& row = rows_[task / parts];
    const std::size_t part = task % parts, height = row.shape.layout.height;
    char* const frame = gathered + row.place;
    gather(row, kernel.precision, frame, {height * part / parts, height * (part + 1) / parts});
    if (part > 0) {
      return;
    }
    std::memset(frame + row.shape.layout.frame_pitch(), 0, rest);
    row.channels.clear();
    for (const Run& run : row.runs) {
      append_channels(*run.channels, run.places, run.first, kernel.precision, row.channels);
    }
    row.frame = frame;
    row.steps.assign(row.shape, kernel, row.channels);
  });
}

}  // namespace adafuse
