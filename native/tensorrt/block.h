// A residual block's kind and sizes, from which its kernels' launches follow.
#pragma once

#include <array>
#include <cstdint>

namespace adafuse::plugin {

// Counts of channels, pixels and frames, as adafuse_deploy/ops/triton/block/plan.py describes them.
struct Block {
  bool half = true;        // float16, else float32
  bool bottleneck = true;  // 1x1, 3x3, 1x1; else twice 3x3, and frames have a border
  std::int64_t frames = 1;
  std::int64_t height = 0, width = 0;  // of its input
  std::int64_t channels_in = 0, channels = 0, channels_out = 0;
  std::int64_t stride = 1;
  bool project = false;  // there is a convolution on the shortcut
  // The temporal shift: channels 0 ... forward - 1 come from the next frame, forward ... backward -
  // 1 from the previous one.
  std::int64_t forward = 0, backward = 0;
  bool shift_shortcut = true;                    // the shortcut convolution reads the shifted input
  std::int64_t hidden = 0;                       // units of the gate; 0: the policy is given
  std::array<std::int64_t, 3> actions{0, 1, 2};  // of the gate's logits
  bool summed = false;                           // x_sums, left by the block before, are an input

  std::int64_t element() const { return half ? 2 : 4; }  // bytes
  std::int64_t height_out() const { return (height - 1) / stride + 1; }
  std::int64_t width_out() const { return (width - 1) / stride + 1; }
  std::int64_t taps() const { return bottleneck ? 1 : 9; }  // of the first convolution
};

// Layout of a frame in memory: channels innermost, `distance` elements from pixel to pixel.  With a
// border (0: a pixel of zeros, p: a pixel), here of 2 rows of 3 pixels:
//
//   |<- pitch ->|
//   | 0 0 0 0   | 0 p p p   | 0 p p p   | 0 0 0 0   | 0 |
//                   ^ first()
struct Frames {
  std::int64_t height, width, distance;
  bool border;

  std::int64_t pixels() const { return height * width; }
  // Pixels from row to row; number of pixel (0, 0); elements of a frame.
  std::int64_t pitch() const { return width + (border ? 1 : 0); }
  std::int64_t first() const { return border ? pitch() + 1 : 0; }
  std::int64_t size() const {
    return ((height + (border ? 2 : 0)) * pitch() + (border ? 1 : 0)) * distance;
  }
};

inline Frames input_of(const Block& block) {
  return {block.height, block.width, block.channels_in, !block.bottleneck};
}

inline Frames output_of(const Block& block) {
  return {block.height_out(), block.width_out(), block.channels_out, !block.bottleneck};
}

}  // namespace adafuse::plugin
