#include "kernels/packed_weights.h"

#include <algorithm>

#include "kernels/frame_layout.h"

namespace adafuse {

PanelWeights::PanelWeights(const TileKernel& kernel, const ConvWeights& conv)
    : panels_((conv.outputs + kernel.panel_width() - 1) / kernel.panel_width()),
      panel_floats_(conv.taps * conv.inputs * kernel.panel_width()) {
  const std::size_t width = kernel.panel_width();
  float* const packed = weights_.reserve(panels_ * panel_floats_);
  std::fill_n(packed, panels_ * panel_floats_, 0.0f);
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    float* const lane = packed + output / width * panel_floats_ + output % width;
    const float* from = conv.weight + output * conv.inputs * conv.taps;
    for (std::size_t input = 0; input < conv.inputs; ++input) {
      for (std::size_t tap = 0; tap < conv.taps; ++tap) {
        lane[(tap * conv.inputs + input) * width] = *from++;
      }
    }
  }
}

RowWeights::RowWeights(const ConvWeights& conv)
    : outputs_(conv.outputs), depth_(round_up(conv.taps * conv.inputs, kWidestVector)) {
  const std::size_t floats = (outputs_ + 1) * depth_;
  float* const packed = weights_.reserve(floats);
  std::fill_n(packed, floats, 0.0f);
  const float* from = conv.weight;
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    for (std::size_t input = 0; input < conv.inputs; ++input) {
      for (std::size_t tap = 0; tap < conv.taps; ++tap) {
        packed[output * depth_ + tap * conv.inputs + input] = *from++;
      }
    }
  }
}

}  // namespace adafuse
