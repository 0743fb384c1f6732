// Weights in the orders the tile kernel reads, made once.
#pragma once

#include <cstddef>

#include "kernels/aligned_buffer.h"
#include "kernels/tile_kernel.h"

namespace adafuse {

// A dense convolution (outputs, inputs, taps).
struct ConvWeights {
  const float* weight;
  const float* bias;  // (outputs)
  std::size_t outputs;
  std::size_t inputs;
  std::size_t taps;
};

// For a convolution that computes all its outputs: panel by panel, one weight row per input value,
// taps outermost.
class PanelWeights {
 public:
  PanelWeights(const TileKernel& kernel, const ConvWeights& conv);

  std::size_t panels() const { return panels_; }
  std::size_t panel_bytes() const { return panel_floats_ * sizeof(float); }
  const char* panel(std::size_t index) const {
    return reinterpret_cast<const char*>(weights_.data() + index * panel_floats_);
  }

 private:
  std::size_t panels_;
  std::size_t panel_floats_;
  AlignedBuffer weights_;
};

// For a convolution whose outputs are chosen at run time: output by output, taps outermost.
class RowWeights {
 public:
  explicit RowWeights(const ConvWeights& conv);

  // Floats of a row, to a multiple of the widest vector.
  std::size_t depth() const { return depth_; }
  const float* row(std::size_t output) const { return weights_.data() + output * depth_; }
  const float* zeros() const { return row(outputs_); }

 private:
  std::size_t outputs_;
  std::size_t depth_;
  AlignedBuffer weights_;
};

}  // namespace adafuse
