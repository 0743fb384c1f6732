// One run of a NhwcConv: what is read and computed of each frame, and how the work is cut.
#pragma once

#include <cstddef>

#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/winograd.h"
#include "operators/nhwc_conv.h"

namespace adafuse {

// Large frames are cut into strips of rows, small ones into panels of output channels, as in
// ResidualRun.
class NhwcConvRun {
 public:
  NhwcConvRun(const NhwcConv& conv, std::size_t frames, std::size_t height, std::size_t width,
              const NhwcConvTensors& tensors, const ParallelFor& parallel_for);

  void run();

 private:
  void prepare();
  void prepare_winograd();
  void prepare_reads();
  void run_strips();
  void run_panels();
  void reduce_means(std::size_t parts);
  // Computes panels [begin, end) of rows `range`; means are gathered in `total`.
  void convolve_panels(std::size_t frame, ImageRows range, std::size_t begin, std::size_t end,
                       float* total) const;
  // One panel of whole frames [first, last), whose Winograd tiles are transformed.
  void convolve_frames(std::size_t first, std::size_t last, std::size_t panel) const;
  // Where a frame's results go; `total` may be null.
  ConvTarget target(std::size_t frame, std::size_t begin, std::size_t end, float* total) const;
  // A term's weights for what a frame reads and computes.
  BPanels weights(std::size_t term, std::size_t frame, std::size_t begin, std::size_t end) const;
  BPanels pack_chosen_n(std::size_t term, std::size_t frame, std::size_t begin,
                        std::size_t end) const;
  // The panels from `end` on hold nothing that a frame computes.
  std::size_t panels_of(std::size_t frame) const;
  const char* source_data(std::size_t source, std::size_t frame) const;
  float* partials(std::size_t frame, std::size_t part, std::size_t parts) const {
    return partials_ + (frame * parts + part) * partials_pitch_;
  }

  const NhwcConv& conv_;
  const IgemmKernel& kernel_;
  const std::size_t frames_;
  const std::size_t height_, width_;
  const NhwcConvTensors& tensors_;
  const ParallelFor& parallel_for_;
  struct NhwcConvScratch& scratch_;
  std::size_t panels_;
  std::size_t partials_pitch_;
  float* partials_ = nullptr;
};

}  // namespace adafuse
