// One run of a FrameConv: what is read and computed of each frame, and how the work is cut.
#pragma once

#include <cstddef>

#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/winograd.h"
#include "operators/nhwc_conv.h"

namespace adafuse {

// Large frames are cut into strips of rows, small ones into panels of output channels, as in
// ResidualPass.
class FrameConvPass {
 public:
  FrameConvPass(const FrameConv& conv, std::size_t rows, std::size_t height, std::size_t width,
                const FrameConvTensors& tensors, const ParallelFor& parallel_for);

  void run();

 private:
  void prepare();
  void prepare_patches();
  void prepare_reads();
  void run_strips();
  void run_panels();
  void pool(std::size_t parts);
  // Computes panels [begin, end) of rows `range`; means are gathered in `total`.
  void convolve_rows(std::size_t row, RowRange range, std::size_t begin, std::size_t end,
                     float* total) const;
  // One panel of whole frames [first, last), whose patches are transformed.
  void convolve_frames(std::size_t first, std::size_t last, std::size_t panel) const;
  // Where a row's results go; `total` may be null.
  ConvTarget target(std::size_t row, std::size_t begin, std::size_t end, float* total) const;
  // A term's weights for what a row reads and computes.
  Panels weights(std::size_t term, std::size_t row, std::size_t begin, std::size_t end) const;
  Panels gather(std::size_t term, std::size_t row, std::size_t begin, std::size_t end) const;
  // The panels from `end` on hold nothing that a row computes.
  std::size_t panels_of(std::size_t row) const;
  const char* frame(std::size_t source, std::size_t row) const;
  float* sums(std::size_t row, std::size_t part, std::size_t parts) const {
    return sums_ + (row * parts + part) * sums_pitch_;
  }

  const FrameConv& conv_;
  const TileKernel& kernel_;
  const std::size_t rows_;
  const std::size_t height_, width_;
  const FrameConvTensors& tensors_;
  const ParallelFor& parallel_for_;
  struct FrameConvScratch& scratch_;
  std::size_t panels_;
  std::size_t sums_pitch_;
  float* sums_ = nullptr;
};

}  // namespace adafuse
