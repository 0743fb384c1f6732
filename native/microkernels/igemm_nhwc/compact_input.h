// Inputs of a convolution that are stored compactly, frame by frame, and their K indirection.
//
// Micro-kernels of K block 1 read channels where they lie: a run of the frame's own and one that
// the previous frame lends.  For AMX, which takes a K block of 16, all runs of a pixel may be
// merged: copied side by side, so that a row of the convolution's kernel is one run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/loop_nest.h"

namespace adafuse {

// The compactly stored channels of one tensor that a frame reads: a view.
struct CompactInput {
  const char* data;  // of the frame
  const InputShape& shape;
  const ChannelOrder& own;  // its kept channels are read
  const ChannelOrder*
      previous;             // channels of the previous frame, whose lent ones are read; or null
  std::ptrdiff_t distance;  // bytes from `data` to the previous frame's
};

// The compact inputs of a convolution, per frame; it owns the lists, not the frames' memory.
class CompactInputs {
 public:
  // Sets the number of frames and forgets their tensors.  A frame reads one tensor or, if `merges`,
  // any number of them.
  void reset(std::size_t frames, bool merges);

  // Adds a tensor; weights have the channels of a frame's tensors one after another.  The views
  // must last until the frames are read.
  void add(std::size_t frame, const CompactInput& source);

  // Bytes of memory that finish() writes merged frames to, when all tensors are added.
  std::size_t plan(const IgemmKernel& kernel);

  // Makes the K indirections; to be called after plan(), when all frames are written, before they
  // are read.
  void finish(const IgemmKernel& kernel, char* memory, const ParallelFor& parallel_for);

  // The frame as a term of the sum, with panels as of read_panels().
  ConvTerm source(std::size_t frame, const BPanels& weights) const {
    return {frames_[frame].data, frames_[frame].shape, frames_[frame].indirection, weights};
  }
  BPanels read_panels(std::size_t frame, const IgemmKernel& kernel, const BPanels& channels,
                      std::size_t begin, std::size_t end, Arena& scratch) const {
    return frames_[frame].indirection.read_panels(kernel, channels, begin, end, scratch);
  }

  // Bytes that read_panels() takes for `panels` panels of any frame; known after finish().
  std::size_t read_panels_bytes(const IgemmKernel& kernel, std::size_t panels) const;

 private:
  // Places of a pixel that follow each other in memory.
  struct Run {
    const char* data;
    const NhwcLayout* layout;
    const ChannelOrder* channels;
    ChannelRun places;
    std::size_t first;  // number of the first channel in the weights
  };
  struct Frame {
    std::vector<CompactInput> sources;
    const char* data;
    InputShape shape;
    KIndirection indirection;
    // Where frames are merged:
    std::vector<Run> runs;
    std::vector<std::uint32_t> channels;
    std::size_t place;  // bytes into the memory of merged frames
  };

  void find_runs(Frame& frame, const IgemmKernel& kernel);
  static void copy_frame(const Frame& frame, Precision precision, char* data, ImageRows range);

  bool merges_ = false;
  std::size_t count_ = 0;
  std::vector<Frame> frames_;
};

}  // namespace adafuse
