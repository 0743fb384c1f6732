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
class ResidualPass {
 public:
  ResidualPass(const ResidualBlock& block, std::size_t rows, std::size_t frames, std::size_t height,
               std::size_t width, const ResidualBlockTensors& tensors, const Policy* policy,
               const ResidualBlockHistory* history);

  void run(const ParallelFor& parallel_for);

 private:
  Neighbours neighbours(std::size_t row) const;
  const StepList& shifted(const std::array<StepList, 4>& lists, std::size_t row) const;
  void prepare();
  void prepare_clips();
  void prepare_streams();
  // `previous`: the channels that lie `distance` bytes behind the row's own, or null.
  void prepare_reads(std::size_t row, const CompactChannels* previous, std::ptrdiff_t distance);
  void finish_reads(const ParallelFor& parallel_for) const;
  void first_stage(std::size_t origin, RowRange rows, std::size_t panel_begin,
                   std::size_t panel_end) const;
  void compute_channels(std::size_t origin, RowRange rows, std::size_t panel_begin,
                        std::size_t panel_end) const;
  // Brings what a row reuses and the previous frame computed behind what was missing.
  void copy_reused(std::size_t row, RowRange rows) const;
  // `conv2`: the panels for what the row reads.
  void second_stage(std::size_t row, const Panels& conv2, RowRange output_rows,
                    std::size_t panel_begin, std::size_t panel_end, char* z,
                    std::size_t z_first_row) const;
  ConvTarget second_target(char* z, std::size_t z_first_row) const;
  ConvTarget last_target(std::size_t row, float* sums) const;
  ConvTarget patched_target(std::size_t row, float* sums) const;
  // `z` is not used by a basic block, `conv2` not by a bottleneck.
  void last_stage(std::size_t row, const Panels& conv2, RowRange output_rows,
                  std::size_t panel_begin, std::size_t panel_end, const char* z,
                  std::size_t z_first_row, float* sums) const;
  Panels read_panels(std::size_t row, std::size_t panel_begin, std::size_t panel_end) const;
  // A panel of conv2 for the rows [begin, end), with `target(row)`.
  template <typename Target>
  void run_patches(std::size_t begin, std::size_t end, std::size_t panel, bool rectify,
                   std::size_t channels, const Target& target) const;
  std::size_t strip_step() const;  // what rows of a strip are a multiple of
  void run_strips(const ParallelFor& parallel_for);
  void run_panels(const ParallelFor& parallel_for);
  void pool(std::size_t slots) const;

  bool shifts() const { return block_.shift_.from_next + block_.shift_.from_previous > 0; }
  bool streams() const { return history_ != nullptr; }
  // Conv1 runs on origins: the rows and then, of streams, the frames before them, which are late.
  // What it gives for those comes to lie behind what the row keeps, on a cache line of its own.
  std::size_t origins() const { return streams() ? 2 * rows_ : rows_; }
  bool is_late(std::size_t origin) const { return origin >= rows_; }
  const char* origin_input(std::size_t origin) const;
  std::size_t reused_offset(std::size_t own) const;

  // What conv1 gives for a row, and how conv2 reads it.
  char* y(std::size_t row) const { return y_ + row * y_pitch_; }
  const InputShape& mid(std::size_t row) const;
  FrameLayout mid_layout(std::size_t own, std::size_t reused) const;
  const char* x(std::size_t row) const { return x_ + row * input_.layout.frame_pitch(); }
  float* sums(std::size_t slot, std::size_t row) const {
    return sums_ + (slot * rows_ + row) * sums_pitch_;
  }

  const ResidualBlock& block_;
  const TileKernel& kernel_;
  const std::size_t rows_;
  const std::size_t frames_;
  const ResidualBlockTensors& tensors_;
  const Policy* policy_;
  const ResidualBlockHistory* history_;  // null for clips
  InputShape input_;                     // of conv1
  InputShape mid_;                       // of conv2, but for the pitch of its layout
  InputShape narrow_;                    // of conv3
  InputShape skipped_;                   // of a shortcut convolution
  FrameLayout output_;
  struct Scratch& scratch_;
  const char* x_;
  char* y_ = nullptr;
  std::size_t y_pitch_ = 0;
  float* sums_ = nullptr;
  std::size_t sums_pitch_;
  bool by_panels_ = false;
};

}  // namespace adafuse
