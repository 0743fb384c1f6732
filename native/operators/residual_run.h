// One run of a residual block: its intermediate results and how the work is cut.
#pragma once

#include <array>
#include <cstddef>

#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/winograd.h"
#include "operators/residual_block.h"

namespace adafuse {

// Large frames are cut into strips of rows, so that what one convolution writes is still in cache
// when the next reads it.  Small frames with their many channels are cut into panels of output
// channels, so that weights are read once for all frames.  The cut depends on shapes only.
class ResidualRun {
 public:
  ResidualRun(const ResidualBlock& block, std::size_t frames, std::size_t frames_per_clip,
              std::size_t height, std::size_t width, const ResidualBlockTensors& tensors,
              const Policy* policy, const ResidualBlockHistory* history);

  void run(const ParallelFor& parallel_for);

 private:
  Neighbours neighbours(std::size_t frame) const;
  const KIndirection& shifted(const std::array<KIndirection, 4>& lists, std::size_t frame) const;
  void prepare();
  void prepare_clips();
  void prepare_streams();
  // `previous`: the channels that lie `distance` bytes behind the frame's own, or null.
  void prepare_reads(std::size_t frame, const ChannelOrder* previous, std::ptrdiff_t distance);
  void finish_reads(const ParallelFor& parallel_for) const;
  void first_stage(std::size_t origin, ImageRows rows, std::size_t panel_begin,
                   std::size_t panel_end) const;
  void compute_channels(std::size_t origin, ImageRows rows, std::size_t panel_begin,
                        std::size_t panel_end) const;
  // Brings what a frame reuses and the previous frame computed behind what was missing.
  void copy_reused(std::size_t frame, ImageRows rows) const;
  // `conv2`: the panels for what the frame reads.
  void second_stage(std::size_t frame, const BPanels& conv2, ImageRows output_rows,
                    std::size_t panel_begin, std::size_t panel_end, char* z,
                    std::size_t z_first_row) const;
  ConvTarget second_target(char* z, std::size_t z_first_row) const;
  ConvTarget last_target(std::size_t frame, float* partials) const;
  ConvTarget winograd_target(std::size_t frame, float* partials) const;
  // `z` is not used by a basic block, `conv2` not by a bottleneck.
  void last_stage(std::size_t frame, const BPanels& conv2, ImageRows output_rows,
                  std::size_t panel_begin, std::size_t panel_end, const char* z,
                  std::size_t z_first_row, float* partials) const;
  BPanels read_panels(std::size_t frame, std::size_t panel_begin, std::size_t panel_end) const;
  // A panel of conv2 for the rows [begin, end), with `target(frame)`.
  template <typename Target>
  void run_winograd(std::size_t begin, std::size_t end, std::size_t panel, bool rectify,
                    std::size_t channels, const Target& target) const;
  std::size_t strip_step() const;  // what rows of a strip are a multiple of
  void run_strips(const ParallelFor& parallel_for);
  void run_panels(const ParallelFor& parallel_for);
  void reduce_means(std::size_t slots) const;

  bool shifts() const { return block_.shift_.from_next + block_.shift_.from_previous > 0; }
  bool streams() const { return history_ != nullptr; }
  // Conv1 runs on origins: the rows and then, of streams, the frames before them, which are
  // deferred. What it gives for those comes to lie behind what the frame keeps, on a cache line of
  // its own.
  std::size_t origins() const { return streams() ? 2 * frames_ : frames_; }
  bool is_deferred(std::size_t origin) const { return origin >= frames_; }
  const char* origin_input(std::size_t origin) const;
  std::size_t reused_offset(std::size_t own) const;

  // What conv1 gives for a frame, and how conv2 reads it.
  char* y(std::size_t frame) const { return y_ + frame * y_pitch_; }
  const InputShape& mid(std::size_t frame) const;
  NhwcLayout mid_layout(std::size_t own, std::size_t reused) const;
  const char* x(std::size_t frame) const { return x_ + frame * input_.layout.frame_pitch(); }
  float* partials(std::size_t slot, std::size_t frame) const {
    return partials_ + (slot * frames_ + frame) * partials_pitch_;
  }

  const ResidualBlock& block_;
  const IgemmKernel& kernel_;
  const std::size_t frames_;
  const std::size_t frames_per_clip_;
  const ResidualBlockTensors& tensors_;
  const Policy* policy_;
  const ResidualBlockHistory* history_;  // null for clips
  InputShape input_;                     // of conv1
  InputShape mid_;                       // of conv2, but for the pitch of its layout
  InputShape narrow_;                    // of conv3
  InputShape skipped_;                   // of a shortcut convolution
  NhwcLayout output_;
  struct Scratch& scratch_;
  const char* x_;
  char* y_ = nullptr;
  std::size_t y_pitch_ = 0;
  float* partials_ = nullptr;
  std::size_t partials_pitch_;
  bool by_panels_ = false;
};

}  // namespace adafuse
