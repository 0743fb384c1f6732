// What convolutions read of compactly stored frames, frame by frame.
//
// Kernels that take one step at a time read channels where they lie: a run of the frame's own and
// one that the previous frame lends.  Matrix units take many: for these, where the convolution's
// kernel has rows, both runs of all pixels are brought side by side, so that a row is one run.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/conv_stage.h"
#include "kernels/parallel_for.h"
#include "kernels/step_list.h"

namespace adafuse {

class CompactReads {
 public:
  void resize(std::size_t rows);

  // Row `row` reads what `own` keeps in `frame` and, unless null, what `previous` lends, which lies
  // `distance` bytes behind.
  void assign(std::size_t row, const char* frame, const InputShape& shape, const TileKernel& kernel,
              const CompactChannels& own, const CompactChannels* previous, std::ptrdiff_t distance);

  // Once all frames are written, and before they are read.
  void gather(const TileKernel& kernel, const ParallelFor& parallel_for);

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
  // Units of a pixel that lie side by side, `offset` bytes behind where it begins.
  struct Run {
    std::ptrdiff_t offset;
    std::size_t units;
  };
  struct Row {
    const char* frame;
    InputShape shape;
    StepList steps;
    bool gathers;  // the same for all rows
    // Before that.
    const char* stored;
    FrameLayout layout;
    Run own, lent;
    std::size_t place;  // where they come to lie
  };

  std::size_t count_ = 0;
  std::vector<Row> rows_;
  AlignedArray<char> gathered_;
};

}  // namespace adafuse
