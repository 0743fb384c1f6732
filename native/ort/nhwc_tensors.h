// Frames of the fused blocks as tensors: (rows, height + 2b, width + 2b, units per pixel).
//
// NhwcLayout says what they hold.  The element type is float32 whatever the precision: an element
// is a unit of the layout, four bytes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "base/huge_pages.h"
#include "layout/nhwc_layout.h"
#include "ort/api.h"
#include "ort/tensors.h"

namespace adafuse {

// The dimensions of `rows` frames.
inline Dims frame_dims(std::int64_t rows, const NhwcLayout& layout) {
  const std::size_t edges = 2 * layout.border;
  return {rows, static_cast<std::int64_t>(layout.height + edges),
          static_cast<std::int64_t>(layout.width + edges),
          static_cast<std::int64_t>(layout.pitch / kGroupBytes)};
}

// The layout of frames that have these dimensions, four of them, and `border` pixels around.
// Throws std::invalid_argument, calling them `name`, where they have no pixels inside or not
// `pitch` bytes per pixel.
inline NhwcLayout layout_of(const Dims& dims, const std::string& name, std::size_t border,
                            std::size_t pitch) {
  const auto edges = static_cast<std::int64_t>(2 * border);
  const auto units = static_cast<std::int64_t>(pitch / kGroupBytes);
  if (dims[1] <= edges || dims[2] <= edges || dims[3] != units) {
    throw std::invalid_argument(name + " " + to_string(dims) + " must hold frames with " +
                                std::to_string(border) + " pixels of border and " +
                                std::to_string(units) + " units per pixel.");
  }
  return {static_cast<std::size_t>(dims[1] - edges), static_cast<std::size_t>(dims[2] - edges),
          border, pitch};
}

// Throws std::invalid_argument where frames would have no pixels inside.
inline const NhwcLayout& with_pixels(const NhwcLayout& layout, const std::string& input,
                                     const Dims& dims) {
  if (layout.height == 0 || layout.width == 0) {
    throw std::invalid_argument(input + " " + to_string(dims) + " is too small: nothing is left.");
  }
  return layout;
}

// Makes output `index` of a node: `rows` frames.
inline char* make_frames(const Ort::KernelContext& context, std::size_t index, std::int64_t rows,
                         const NhwcLayout& layout) {
  Ort::UnownedValue value = make_output(context, index, frame_dims(rows, layout));
  char* const frames = static_cast<char*>(value.GetTensorMutableRawData());
  prefer_huge_pages(frames, static_cast<std::size_t>(rows) * layout.frame_pitch());
  return frames;
}

}  // namespace adafuse
