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

void CompactReads::resize(std::size_t rows) {
  count_ = rows;
  rows_.resize(std::max(rows_.size(), rows));
}

void CompactReads::assign(std::size_t index, const char* frame, const InputShape& shape,
                          const TileKernel& kernel, const CompactChannels& own,
                          const CompactChannels* previous, std::ptrdiff_t distance) {
  Row& row = rows_[index];
  row.frame = row.stored = frame;
  row.shape = shape;
  row.layout = shape.layout;
  row.gathers = kernel.chunk > 1 && shape.kernel > 1;
  if (row.gathers) {
    const ChannelRun kept{0, own.kept()};
    const ChannelRun lent = previous == nullptr
                                ? ChannelRun{0, 0}
                                : ChannelRun{previous->lent_begin(), previous->size()};
    const std::size_t first = lent.first_unit(kernel.precision) * kUnit;
    const std::size_t behind = kept.units(kernel.precision) * kUnit;
    row.own = {0, kept.units(kernel.precision)};
    row.lent = {distance + static_cast<std::ptrdiff_t>(first), lent.units(kernel.precision)};
    row.shape.layout.border = shape.pad();
    row.shape.layout.pitch = behind + row.lent.units * kUnit;
    // Of where the lent channels would begin if the first of them were there too.
    distance = static_cast<std::ptrdiff_t>(behind) - static_cast<std::ptrdiff_t>(first);
  }
  row.steps.assign(row.shape, kernel, own, previous, distance, row.gathers ? kernel.chunk : 1);
}

void CompactReads::gather(const TileKernel& kernel, const ParallelFor& parallel_for) {
  if (count_ == 0 || !rows_[0].gathers) {
    return;
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    rows_[i].place = bytes;
    // Steps that fill up a row of the kernel read behind the last pixel, and must find numbers.
    bytes += round_up(rows_[i].shape.layout.frame_pitch() + kernel.chunk * kUnit, kLine);
  }
  char* const gathered = gathered_.reserve(bytes);
  const std::size_t parts = (kEnoughTasks + count_ - 1) / count_;
  parallel_for(count_ * parts, [&](std::size_t task) {
    Row& row = rows_[task / parts];
    const FrameLayout& from = row.layout;
    const FrameLayout& to = row.shape.layout;
    const std::size_t part = task % parts;
    const std::size_t begin = to.height * part / parts, end = to.height * (part + 1) / parts;
    char* const frame = gathered + row.place;
    to.clear_border(frame, begin, end);
    for (std::size_t y = begin; y < end; ++y) {
      const char* stored = row.stored + from.offset(static_cast<std::ptrdiff_t>(y), 0);
      char* pixel = frame + to.offset(static_cast<std::ptrdiff_t>(y), 0);
      for (std::size_t x = 0; x < to.width; ++x) {
        copy_units(stored, row.own.units, pixel);
        copy_units(stored + row.lent.offset, row.lent.units, pixel + row.own.units * kUnit);
        stored += from.pitch;
        pixel += to.pitch;
      }
    }
    if (part == parts - 1) {
      std::memset(frame + to.frame_pitch(), 0, kernel.chunk * kUnit);
    }
  });
  for (std::size_t i = 0; i < count_; ++i) {
    rows_[i].frame = gathered + rows_[i].place;
  }
}

}  // namespace adafuse
