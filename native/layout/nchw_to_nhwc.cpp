#include "layout/nchw_to_nhwc.h"

#include <algorithm>

namespace adafuse {
namespace {

// Pixels that a task rewrites at a time: a cache line of each plane.
constexpr std::size_t kPixels = 16;
constexpr std::size_t kVector = 16;

void rewrite(const float* planes, std::size_t plane, std::size_t channels, std::size_t pixels,
             Precision precision, float scale, std::size_t pitch, char* output) {
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const float* from = planes + channel * plane;
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      encode(precision, from[pixel] / scale, output + pixel * pitch, channel);
    }
  }
  for (std::size_t place = channels; place % per_unit(precision) != 0; ++place) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      encode(precision, 0, output + pixel * pitch, place);
    }
  }
}

}  // namespace

void to_channels_last(const float* input, std::size_t rows, std::size_t channels,
                      const FrameLayout& layout, Precision precision, float scale, char* output,
                      float* pooled, const ParallelFor& parallel_for) {
  const std::size_t plane = layout.height * layout.width;
  parallel_for(rows, [&](std::size_t row) {
    const float* const planes = input + row * channels * plane;
    char* const frame = output + row * layout.frame_pitch();
    layout.clear_border(frame, 0, layout.height);
    for (std::size_t y = 0; y < layout.height; ++y) {
      for (std::size_t x = 0; x < layout.width; x += kPixels) {
        rewrite(
            planes + y * layout.width + x, plane, channels, std::min(kPixels, layout.width - x),
            precision, scale, layout.pitch,
            frame + layout.offset(static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)));
      }
    }
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const float* from = planes + channel * plane;
      float partial[kVector] = {};  // side by side, so that the compiler can use vectors
      std::size_t pixel = 0;
      for (; pixel + kVector <= plane; pixel += kVector) {
        for (std::size_t i = 0; i < kVector; ++i) {
          partial[i] += from[pixel + i];
        }
      }
      for (std::size_t i = 0; pixel < plane; ++pixel, ++i) {
        partial[i] += from[pixel];
      }
      float sum = 0;
      for (const float part : partial) {
        sum += part;
      }
      pooled[row * channels + channel] = sum / static_cast<float>(plane);
    }
  });
}

}  // namespace adafuse
