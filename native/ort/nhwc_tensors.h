// Frames of the fused blocks as tensors: (rows, height + 2b, width + 2b, K groups per pixel).
//
// NhwcLayout says what they hold.  The element type is float32 whatever the precision: an element
// is a K group of the layout, four bytes.
#pragma once

#include <cstdint>
#include <optional>
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

// Output pixels of a convolution of stride `stride`, padded by half its kernel, as far as the graph
// fixes the size of input `index`, frames with `border` pixels around; nothing where it does not.
struct Plane {
  std::size_t height, width;
};
inline std::optional<Plane> declared_plane(const Ort::ConstKernelInfo& info, std::size_t index,
                                           std::size_t border, std::size_t stride) {
  const Dims dims = info.GetInputTypeInfo(index).GetTensorTypeAndShapeInfo().GetShape();
  const auto edges = static_cast<std::int64_t>(2 * border);
  if (dims.size() != 4 || dims[1] <= edges || dims[2] <= edges) {
    return std::nullopt;
  }
  const auto strided = [&](std::int64_t size) {
    return (static_cast<std::size_t>(size - edges) + stride - 1) / stride;
  };
  return Plane{strided(dims[1]), strided(dims[2])};
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
