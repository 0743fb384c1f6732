// How the fused blocks hand frames to each other: channels innermost.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/precision.h"

namespace adafuse {

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Bytes from one pixel to the next where each takes so many.  Whole vectors may be written, and
// neighbouring pixels must not share cache sets, as they would at a power of two.
constexpr std::size_t pixel_pitch(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, kLine);
  return whole % (4 * kLine) == 0 ? whole + kLine : whole;
}

constexpr std::size_t channel_pitch(std::size_t channels, Precision precision) {
  return pixel_pitch(channels * value_bytes(precision));
}

// What a stored value of one stands for in the frames that are read and made, in kInt8.
struct FrameScales {
  float input = 1, output = 1;
};

// Frame rows x columns x pitch bytes, with `border` pixels of zeros on every side.  The last
// channel's unit is filled up with zeros; what lies between it and the next pixel is undefined.
struct FrameLayout {
  std::size_t height = 0;
  std::size_t width = 0;
  std::size_t border = 0;
  std::size_t pitch = 0;

  std::size_t row_pitch() const { return (width + 2 * border) * pitch; }
  std::size_t frame_pitch() const { return (height + 2 * border) * row_pitch(); }

  // Where a pixel begins; positions in the border are negative.
  std::size_t offset(std::ptrdiff_t y, std::ptrdiff_t x) const {
    const std::ptrdiff_t edge = static_cast<std::ptrdiff_t>(border);
    return static_cast<std::size_t>(y + edge) * row_pitch() +
           static_cast<std::size_t>(x + edge) * pitch;
  }

  // Writes the zeros around rows [first, last), with the border above or below at the frame's ends.
  void clear_border(char* frame, std::size_t first, std::size_t last) const {
    const std::size_t begin = first == 0 ? 0 : first + border;
    const std::size_t end = last == height ? height + 2 * border : last + border;
    for (std::size_t row = begin; row < end; ++row) {
      char* const at = frame + row * row_pitch();
      if (row < border || row >= height + border) {
        std::memset(at, 0, row_pitch());
      } else {
        std::memset(at, 0, border * pitch);
        std::memset(at + (border + width) * pitch, 0, border * pitch);
      }
    }
  }
};

}  // namespace adafuse
