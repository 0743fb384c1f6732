// One run of a residual block: its intermediate results and how the work is cut.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/pixel_tiles.h"
#include "kernels/residual_block.h"

namespace adafuse {

// Large frames are cut into strips of rows, so that what one convolution writes is still in cache
// when the next reads it.  Small frames with their many channels are cut into panels of output
// channels, so that weights are read once for all frames.  The cut depends on shapes only.
class ResidualPass {
 public:
  ResidualPass(const ResidualBlock& block, std::size_t rows, std::size_t frames, std::size_t height,
               std::size_t width, const ResidualBlockTensors& tensors, const Policy* policy);

  void run(const ParallelFor& parallel_for);

 private:
  struct Rows {
    std::size_t begin, end;
  };
  // One term of a stage's sum.
  struct Source {
    const float* frame;
    const InputShape& shape;
    const StepList& steps;
    const PanelWeights* weights;  // null: `gathered`
    const char* gathered;
    std::size_t first_row;  // of the frame, the one that `frame` begins with
    bool prefetches;        // tiles follow each other in memory
  };
  // Where a stage's results go.
  struct Target {
    float* frame;
    const FrameLayout& layout;
    std::size_t first_row;
    const float* bias;
    const float* residual;  // a frame of the same layout, or null
    float* sums;            // per channel, or null
  };

  Neighbours neighbours(std::size_t row) const;
  const StepList& shifted(const std::array<StepList, 4>& lists, std::size_t row) const;
  void prepare();
  void first_stage(std::size_t row, Rows input_rows, std::size_t panel_begin,
                   std::size_t panel_end) const;
  void second_stage(std::size_t row, Rows output_rows, std::size_t panel_begin,
                    std::size_t panel_end, float* z, std::size_t z_first_row) const;
  void last_stage(std::size_t row, Rows output_rows, std::size_t panel_begin, std::size_t panel_end,
                  const float* z, std::size_t z_first_row, float* sums) const;
  void compute(const Source* sources, std::size_t count, const Target& target, Rows rows,
               std::size_t channels, std::size_t panel_begin, std::size_t panel_end) const;
  void run_strips(const ParallelFor& parallel_for);
  void run_panels(const ParallelFor& parallel_for);
  void pool(std::size_t slots) const;

  float* y(std::size_t row) const { return y_ + row * mid_.layout.frame_pitch(); }
  const float* x(std::size_t row) const { return x_ + row * input_.layout.frame_pitch(); }
  float* sums(std::size_t slot, std::size_t row) const {
    return sums_ + (slot * rows_ + row) * sums_pitch_;
  }

  const ResidualBlock& block_;
  const TileKernel& kernel_;
  const std::size_t rows_;
  const std::size_t frames_;
  const ResidualBlockTensors& tensors_;
  const Policy* policy_;
  InputShape input_;    // of conv1
  InputShape mid_;      // of conv2, compact
  InputShape narrow_;   // of conv3
  InputShape skipped_;  // of a shortcut convolution
  FrameLayout output_;
  struct Scratch& scratch_;
  const float* x_;
  float* y_ = nullptr;
  float* sums_ = nullptr;
  std::size_t sums_pitch_;
};

}  // namespace adafuse
