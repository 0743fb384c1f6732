// What convolutions read of compactly stored frames, row by row.
//
// Kernels that take one step at a time read channels where they lie: a run of the frame's own and
// one that the previous frame lends.  Matrix units take many at once: for these all runs of a pixel
// may be gathered side by side, so that a row of the convolution's kernel is one run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel_for.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/loop_nest.h"

namespace adafuse {

// Compactly stored channels that a row reads.
struct CompactSource {
  const char* frame;
  const InputShape& shape;
  const CompactChannels& own;       // what it keeps of them is read
  const CompactChannels* previous;  // and what these lend, or null
  std::ptrdiff_t distance;          // bytes from `frame` to the previous one
};

class CompactReads {
 public:
  // Begins anew with `rows` rows that read one source each or, if it `gathers`, any number.
  void reset(std::size_t rows, bool gathers);

  // The weights have the channels of a row's sources one after another.  What the source refers to
  // must last.
  void add(std::size_t row, const CompactSource& source);

  // Once all frames are written, and before they are read.
  void finish(const TileKernel& kernel, const ParallelFor& parallel_for);

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
  // Places of a pixel that lie side by side.
  struct Run {
    const char* frame;
    const FrameLayout* layout;
    const CompactChannels* channels;
    ChannelRun places;
    std::size_t first;  // channel of the weights
  };
  struct Row {
    std::vector<CompactSource> sources;
    const char* frame;
    InputShape shape;
    StepList steps;
    // What is gathered.
    std::vector<Run> runs;
    std::vector<std::uint32_t> channels;
    std::size_t place;  // among all gathered frames
  };

  void find_runs(Row& row, const TileKernel& kernel);
  static void gather(const Row& row, Precision precision, char* frame, RowRange range);

  bool gathers_ = false;
  std::size_t count_ = 0;
  std::vector<Row> rows_;
  AlignedArray<char> gathered_;
};

}  // namespace adafuse
