// The NHWC layout of frames between fused operators: rows, pixels, channels.
//
//   frame:  border rows | rows | border rows
//   row:    border pixels | pixels | border pixels
//   pixel:  |<----------------------- pitch ----------------------->|
//           channels, 4, 2 or 1 bytes each | zeros to a K group | undefined
//
// Files hold nodes that read and make such frames, and streams hand them on: what is written here
// is version kLayoutVersion.  c_abi.h tells it to other languages.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/precision.h"

namespace adafuse {

// Version of the layout; goes up when frames of an older version cannot be read as they are.
constexpr int kLayoutVersion = 1;

// The smallest multiple of `multiple` that is not less than `value`.
constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The pitch, bytes from one pixel to the next, of pixels that hold `bytes` bytes: whole cache
// lines, because whole vectors are written, but no multiple of four lines, because neighbouring
// pixels must not share cache sets.
constexpr std::size_t pixel_pitch(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, kLine);
  return whole % (4 * kLine) == 0 ? whole + kLine : whole;
}

// The pitch of pixels that hold `channels` channels.
constexpr std::size_t channel_pitch(std::size_t channels, Precision precision) {
  return pixel_pitch(channels * value_bytes(precision));
}

// Bytes from the begin of a stream's pixel to its reused channels, which lie behind the `kept` ones
// on a cache line of their own.
constexpr std::size_t reused_offset(std::size_t kept, Precision precision) {
  return round_up(kept * value_bytes(precision), kLine);
}

// The pitch of conv1's result that a stream hands on, with room for any choice of `channels`.
constexpr std::size_t history_pitch(std::size_t channels, Precision precision) {
  return channel_pitch(channels + kLine / value_bytes(precision), precision);
}

// Scales of the frames that an operator reads and writes, in kInt8: value = scale * stored integer.
struct ActivationScales {
  float input = 1, output = 1;
};

// Sizes of a frame.
struct NhwcLayout {
  std::size_t height = 0;  // pixels, without the border
  std::size_t width = 0;
  std::size_t border = 0;  // pixels of zeros on every side
  std::size_t pitch = 0;   // bytes from pixel to pixel

  // Bytes from row to row, and from frame to frame.
  std::size_t row_pitch() const { return (width + 2 * border) * pitch; }
  std::size_t frame_pitch() const { return (height + 2 * border) * row_pitch(); }

  // Bytes from the frame's begin to pixel (y, x).  Pixels of the border have y or x from -border to
  // -1, or from height or width on.
  std::size_t offset(std::ptrdiff_t y, std::ptrdiff_t x) const {
    const std::ptrdiff_t edge = static_cast<std::ptrdiff_t>(border);
    return static_cast<std::size_t>(y + edge) * row_pitch() +
           static_cast<std::size_t>(x + edge) * pitch;
  }

  // Writes zeros to the border left and right of rows [first, last) and, where these begin or end
  // the frame, above or below.
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
