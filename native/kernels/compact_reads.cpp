#include "kernels/compact_reads.h"

#include <algorithm>
#include <cstring>

namespace adafuse {
namespace {

// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

void copy_units(const char* from, std::size_t units, char* to) {
  constexpr std::size_t kBlock = 8;  // units: copies of a constant size need no call
  for (; units >= kBlock; units -= kBlock) {
    std::memcpy(to, from, kBlock * kUnit);
    from += kBlock * kUnit;
    to += kBlock * kUnit;
  }
  for (; units > 0; --units) {
    std::memcpy(to, from, kUnit);
    from += kUnit;
    to += kUnit;
  }
}

}  // namespace

void CompactReads::reset(std::size_t rows, bool gathers) {
  gathers_ = gathers;
  count_ = rows;
  rows_.resize(std::max(rows_.size(), rows));
  for (std::size_t i = 0; i < rows; ++i) {
    rows_[i].runs.clear();
    rows_[i].channels.clear();
  }
}

void CompactReads::add(std::size_t index, const TileKernel& kernel, const char* frame,
                       const InputShape& shape, const CompactChannels& own,
                       const CompactChannels* previous, std::ptrdiff_t distance,
                       std::size_t first) {
  Row& row = rows_[index];
  row.frame = frame;
  row.shape = shape;
  if (!gathers_) {
    row.steps.assign(shape, kernel, own, previous, distance);
    return;
  }
  add_run(row, kernel, frame, shape.layout, own, {0, own.kept()}, first);
  if (previous != nullptr) {
    add_run(row, kernel, frame + distance, shape.layout, *previous,
            {previous->lent_begin(), previous->size()}, first);
  }
}

void CompactReads::add_run(Row& row, const TileKernel& kernel, const char* frame,
                           const FrameLayout& layout, const CompactChannels& channels,
                           ChannelRun run, std::size_t first) {
  const std::size_t group = per_unit(kernel.precision);
  const std::size_t unit = run.first_unit(kernel.precision);
  const std::size_t units = run.units(kernel.precision);
  if (units == 0) {
    return;
  }
  row.runs.push_back({frame + layout.offset(0, 0) + unit * kUnit, layout, units});
  for (std::size_t place = unit * group; place < (unit + units) * group; ++place) {
    const bool read = run.begin <= place && place < run.end;
    row.channels.push_back(read ? static_cast<std::uint32_t>(first + channels[place]) : kNoChannel);
  }
}

void CompactReads::copy(const Row& row, char* frame, RowRange range) {
  const FrameLayout& to = row.shape.layout;
  for (std::size_t y = range.begin; y < range.end; ++y) {
    char* place = frame + to.offset(static_cast<std::ptrdiff_t>(y), 0);
    for (const Run& run : row.runs) {
      const char* from = run.from + y * run.layout.row_pitch();
      for (std::size_t x = 0; x < to.width; ++x) {
        copy_units(from + x * run.layout.pitch, run.units, place + x * to.pitch);
      }
      place += run.units * kUnit;
    }
  }
}

void CompactReads::gather(const TileKernel& kernel, std::size_t channels,
                          const ParallelFor& parallel_for) {
  if (!gathers_) {
    return;
  }
  // Steps that fill up a row of the kernel read behind the last pixel, and must find numbers.
  const std::size_t rest = kernel.chunk * kUnit;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    Row& row = rows_[i];
    FrameLayout& layout = row.shape.layout;
    layout.border = row.shape.pad();
    layout.pitch = row.channels.size() * value_bytes(kernel.precision);
    row.shape.channels = channels;
    row.place = bytes;
    bytes += round_up(layout.frame_pitch() + rest, kLine);
  }
  char* const gathered = gathered_.reserve(bytes);
  const std::size_t parts = (kEnoughTasks + count_ - 1) / count_;
  parallel_for(count_ * parts, [&](std::size_t task) {
    Row& row = rows_[task / parts];
    const std::size_t part = task % parts, height = row.shape.layout.height;
    const RowRange range{height * part / parts, height * (part + 1) / parts};
    char* const frame = gathered + row.place;
    row.shape.layout.clear_border(frame, range.begin, range.end);
    copy(row, frame, range);
    if (part == 0) {
      std::memset(frame + row.shape.layout.frame_pitch(), 0, rest);
      row.frame = frame;
      row.steps.assign(row.shape, kernel, row.channels);
    }
  });
}

}  // namespace adafuse
