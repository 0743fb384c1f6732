#include "layout/nchw_to_nhwc.h"

#include <algorithm>

namespace adafuse {
namespace {

// Pixels that a task rewrites at a time: a cache line of each plane.
constexpr std::size_t kPixels = 16;
// Partial sums of a mean: floats of the widest vector.
constexpr std::size_t kVector = 16;

// Rewrites `pixels` neighbouring pixels; `planes` points to the first one in channel 0, and
// channels are `plane` floats apart.
void rewrite(const float* planes, std::size_t plane, std::size_t channels, std::size_t pixels,
             Precision precision, float scale, std::size_t pitch, char* output) {
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const float* from = planes + channel * plane;
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      encode(precision, from[pixel] / scale, output + pixel * pitch, channel);
    }
  }
  for (std::size_t place = channels; place % kr(precision) != 0; ++place) {
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      encode(precision, 0, output + pixel * pitch, place);
    }
  }
}

}  // namespace

void nchw_to_nhwc(const float* input, std::size_t frames, std::size_t channels,
                  const NhwcLayout& layout, Precision precision, float scale, char* output,
                  float* pooled, const ParallelFor& parallel_for) {
  const std::size_t plane = layout.height * layout.width;
  parallel_for(frames, [&](std::size_t frame) {
    const float* const planes = input + frame * channels * plane;
    char* const pixels_of_frame = output + frame * layout.frame_pitch();
    layout.clear_border(pixels_of_frame, 0, layout.height);
    for (std::size_t y = 0; y < layout.height; ++y) {
      for (std::size_t x = 0; x < layout.width; x += kPixels) {
        rewrite(planes + y * layout.width + x, plane, channels, std::min(kPixels, layout.width - x),
                precision, scale, layout.pitch,
                pixels_of_frame +
                    layout.offset(static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)));
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
      pooled[frame * channels + channel] = sum / static_cast<float>(plane);
    }
  });
}

}  // namespace adafuse
