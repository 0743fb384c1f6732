// Frames of the fused blocks as tensors: (rows, height + 2b, width + 2b, units per pixel).
//
// FrameLayout says what they hold.  The element type is float32 whatever the precision: an element
// is a unit of the layout, four bytes.  The attribute `precision` is "fp32", "bf16" or "int8".
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/frame_layout.h"
#include "kernels/huge_pages.h"
#include "onnxruntime/api.h"

namespace adafuse {

inline Precision parse_precision(const std::string& name) {
  if (name == "fp32") {
    return Precision::kFloat32;
  }
  if (name == "bf16") {
    return Precision::kBFloat16;
  }
  if (name == "int8") {
    return Precision::kInt8;
  }
  throw std::invalid_argument("the attribute precision is " + name +
                              " but must be fp32, bf16 or int8.");
}

inline Precision read_precision(const Ort::ConstKernelInfo& info) {
  try {
    return parse_precision(info.GetAttribute<std::string>("precision"));
  } catch (const Ort::Exception&) {
    throw std::invalid_argument("the attribute precision is missing or no string.");
  }
}

// The same for shape inference; ShapeInferContext::GetAttrString() forgets where a string ends.
inline Precision read_precision(const OrtShapeInferContext* context) {
  const OrtApi& api = Ort::GetApi();
  const OrtOpAttr* attribute = nullptr;
  Ort::ThrowOnError(api.ShapeInferContext_GetAttribute(context, "precision", &attribute));
  char name[8] = {};
  std::size_t size = 0;
  Ort::ThrowOnError(api.ReadOpAttr(attribute, ORT_OP_ATTR_STRING, name, sizeof(name), &size));
  return parse_precision(std::string(name, size));
}

// The dimensions of `rows` frames.
inline std::vector<std::int64_t> frame_dims(std::int64_t rows, const FrameLayout& layout) {
  const std::size_t edges = 2 * layout.border;
  return {rows, static_cast<std::int64_t>(layout.height + edges),
          static_cast<std::int64_t>(layout.width + edges),
          static_cast<std::int64_t>(layout.pitch / kUnit)};
}

// Makes output `index` of a node: `rows` frames.
inline char* make_frames(const Ort::KernelContext& context, std::size_t index, std::int64_t rows,
                         const FrameLayout& layout) {
  const std::vector<std::int64_t> dims = frame_dims(rows, layout);
  Ort::UnownedValue value = context.GetOutput(index, dims.data(), dims.size());
  char* const frames = static_cast<char*>(value.GetTensorMutableRawData());
  prefer_huge_pages(frames, static_cast<std::size_t>(rows) * layout.frame_pitch());
  return frames;
}

inline std::int64_t units_per_pixel(std::size_t channels, Precision precision) {
  return static_cast<std::int64_t>(channel_pitch(channels, precision) / kUnit);
}

}  // namespace adafuse
