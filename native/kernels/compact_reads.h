// What convolutions read of compactly stored frames, row by row.
//
// Kernels that take one step at a time read channels where they lie: a run of the frame's own and
// one that the previous frame lends.  Matrix units take many at once: for these all runs of a pixel
// may be gathered side by side, so that a row of the convolution's kernel is one run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/conv_stage.h"
#include "kernels/parallel_for.h"
#include "kernels/step_list.h"

namespace adafuse {

class CompactReads {
 public:
  // Begins anew with lists for `rows` rows, of one tensor each or, if it `gathers`, of any number.
  void reset(std::size_t rows, bool gathers);

  // Adds to what a row reads: what `own` keeps in `frame` and, unless null, what `previous` lends,
  // which lies `distance` bytes behind.  These are the weights' inputs from `first` on.
  void add(std::size_t row, const TileKernel& kernel, const char* frame, const InputShape& shape,
           const CompactChannels& own, const CompactChannels* previous, std::ptrdiff_t distance,
           std::size_t first = 0);

  // Once all frames are written, and before they are read.  `channels`: inputs of the weights.
  void gather(const TileKernel& kernel, std::size_t channels, const ParallelFor& parallel_for);

  // `weights`: what read_panels() gives.
  ConvSource source(std::size_t row, const Panels& weights) const {
    return {rows_[row].frame, rows_[row].shape, rows_[row].steps, weights};
  }
  Panels read_panels(std::size_t row, const TileKernel& kernel, const Panels& channels,
                     std::size_t begin, std::size_t end,
                     AlignedArray<std::uint32_t>& buffer) const {
    return rows_[row].steps.read_panels(kernel, channels, begin, end, buffer);
  }

 private:
  // Units of every pixel that lie side by side, from those of the first pixel on.
  struct Run {
    const char* from;
    FrameLayout layout;
    std::size_t units;
  };
  struct Row {
    const char* frame;
    InputShape shape;
    StepList steps;
    // To be gathered.
    std::vector<Run> runs;
    std::vector<std::uint32_t> channels;  // of the units, or kNoChannel
    std::size_t place;                    // of the frame among those gathered
  };

  void add_run(Row& row, const TileKernel& kernel, const char* frame, const FrameLayout& layout,
               const CompactChannels& channels, ChannelRun run, std::size_t first);
  static void copy(const Row& row, char* frame, RowRange range);

  bool gathers_ = false;
  std::size_t count_ = 0;
  std::vector<Row> rows_;
  AlignedArray<char> gathered_;
};

}  // namespace adafuse
