// How the fused blocks hand frames to each other: channels innermost.
#pragma once

#include <algorithm>
#include <cstddef>

namespace adafuse {

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The widest vector of all instruction sets, so that a layout does not depend on the processor.
constexpr std::size_t kWidestVector = 16;

// Floats from one pixel to the next for so many channels.  Whole vectors may be written, and
// neighbouring pixels must not share cache sets, as they would at a power of two.
constexpr std::size_t channel_pitch(std::size_t channels) {
  const std::size_t whole = round_up(channels, kWidestVector);
  return whole % 64 == 0 ? whole + kWidestVector : whole;
}

// Frame rows x columns x pitch floats, with `border` pixels of zeros on every side.  What lies
// between the last channel and the next pixel is undefined.
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
  void clear_border(float* frame, std::size_t first, std::size_t last) const {
    const std::size_t begin = first == 0 ? 0 : first + border;
    const std::size_t end = last == height ? height + 2 * border : last + border;
    for (std::size_t row = begin; row < end; ++row) {
      float* const at = frame + row * row_pitch();
      if (row < border || row >= height + border) {
        std::fill_n(at, row_pitch(), 0.0f);
      } else {
        std::fill_n(at, border * pitch, 0.0f);
        std::fill_n(at + (border + width) * pitch, border * pitch, 0.0f);
      }
    }
  }
};

}  // namespace adafuse
