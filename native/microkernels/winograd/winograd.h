// 3x3 convolutions of stride 1 by minimal filtering (see winograd_kernel.h), in float32.
//
// Channels are chosen as everywhere: only those that are read are transformed, only those that are
// computed are multiplied.  In between, each of the 36 positions is a product of matrices, patches
// times channels, for which the tile kernel serves.
#pragma once

#include <cstddef>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel_for.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/transforms.h"

namespace adafuse {

// The weights of a 3x3 convolution at the 36 positions, which take the place of taps.
class WinogradWeights {
 public:
  explicit WinogradWeights(const ConvWeights& conv);

  const ConvWeights& conv() const { return conv_; }

 private:
  std::vector<float> weights_;
  ConvWeights conv_;
};

// What a convolution reads of one frame, as a list of terms that have weights of their own.
class PatchReads {
 public:
  void clear();

  // Adds a term: every channel of a frame, shifted; for PanelWeights or OutputWeights.
  void add(const char* frame, const InputShape& input, const TemporalShift& shift,
           Neighbours neighbours, const TileKernel& kernel);

  // Adds a term: what a frame reads of compactly stored channels, its own and, unless null, those
  // the previous frame lends, which lie `distance` bytes behind or just one frame before; for
  // ChannelWeights.
  void add(const char* frame, const InputShape& input, const CompactChannels& own,
           const CompactChannels* previous, std::ptrdiff_t distance, const TileKernel& kernel);
  void add(const char* frame, const InputShape& input, const CompactChannels& own,
           const CompactChannels* previous, const TileKernel& kernel) {
    add(frame, input, own, previous, -static_cast<std::ptrdiff_t>(input.layout.frame_pitch()),
        kernel);
  }

  std::size_t channels() const { return channels_; }
  std::size_t terms() const { return terms_.size(); }

 private:
  friend class Patches;

  struct Run {
    const char* first;  // channel of the frame
    FrameLayout layout;
    std::size_t channels;
  };
  struct Term {
    std::size_t first_step, depth;
    std::size_t weight_rows;  // of a position
  };

  void add_run(const char* frame, const InputShape& input, const ChannelRun& run);
  // Throws std::invalid_argument where steps cannot reach that many channels.
  void begin_term(std::size_t channels, const TileKernel& kernel) const;
  void end_term(std::size_t first_step, std::size_t weight_rows);

  std::size_t channels_ = 0;
  std::vector<Run> runs_;
  std::vector<Term> terms_;
  std::vector<Step> steps_;
};

// The transformed patches for some rows of a frame's output: position, patch, channel.
class Patches {
 public:
  // Of output rows `rows` of a height x width frame; rows.begin is a multiple of kPatchStep.
  Patches(const TileKernel& kernel, const PatchReads& reads, RowRange rows, std::size_t height,
          std::size_t width);

  std::size_t bytes() const { return kPositions * position_pitch_ + kLine; }
  void transform(char* memory) const;

  // Working memory for multiply() and finish(), in bytes.
  std::size_t product_bytes() const { return kPositions * product_pitch_; }

  // The products at one position for a panel, of which `channels` channels are wanted; there are
  // weights for each term.
  void multiply(const char* memory, const Panels* weights, std::size_t panel, std::size_t channels,
                std::size_t position, char* products) const;
  // Completes what multiply() has done for all positions.
  void finish(const char* products, const ConvTarget& target, bool rectify, std::size_t panel,
              std::size_t channels) const;

 private:
  template <typename Body>
  void for_each_patch(Body body) const;

  const TileKernel& kernel_;
  const WinogradKernel& transforms_;
  const PatchReads& reads_;
  RowRange rows_;
  std::size_t height_, width_;
  std::size_t columns_;  // of patches
  std::size_t count_;
  std::size_t pitch_;  // bytes from one patch to the next
  std::size_t position_pitch_;
  std::size_t product_pitch_;  // bytes from one position's products to the next
};

// A frame, or some rows of one, whose patches are transformed.
struct PatchFrame {
  const Patches& patches;
  const char* memory;
  const Panels* weights;  // per term
  ConvTarget target;
};

// What frames are read for, and their transformed patches.
class PatchedFrames {
 public:
  // Makes room for `rows` frames.
  void resize(std::size_t rows);
  PatchReads& reads(std::size_t row) { return reads_[row]; }
  const PatchReads& reads(std::size_t row) const { return reads_[row]; }

  // Transforms all frames, for an output of height x width.
  void transform(const TileKernel& kernel, std::size_t height, std::size_t width,
                 const ParallelFor& parallel_for);
  PatchFrame frame(std::size_t row, const Panels* weights, const ConvTarget& target) const {
    return {patches_[row], memory_.data() + begins_[row], weights, target};
  }

 private:
  std::size_t rows_ = 0;
  std::vector<PatchReads> reads_;
  std::vector<Patches> patches_;
  std::vector<std::size_t> begins_;
  AlignedArray<char> memory_;
};

// Working memory.
struct PatchScratch {
  AlignedArray<char> patches, products;
};

// Computes one panel of frames that share its weights, of which `channels` channels are wanted.
void convolve_patches(const PatchFrame* frames, std::size_t count, bool rectify, std::size_t panel,
                      std::size_t channels, PatchScratch& scratch);

// Computes `rows` of a height x width frame from what it reads, as convolve() does; rows.begin is
// a multiple of kPatchStep.
void convolve_patches(const TileKernel& kernel, const PatchReads& reads, const Panels* weights,
                      const ConvTarget& target, bool rectify, RowRange rows, std::size_t height,
                      std::size_t width, std::size_t channels, std::size_t panel_begin,
                      std::size_t panel_end, PatchScratch& scratch);

// Output rows whose patches fit into cache: a multiple of kPatchStep.
std::size_t patch_strip(const PatchReads& reads, std::size_t width);

}  // namespace adafuse
