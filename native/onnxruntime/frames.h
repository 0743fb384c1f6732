// Frames of the fused blocks as tensors: (rows, height + 2b, width + 2b, units per pixel).
//
// FrameLayout says what they hold.  The element type is float32 whatever the precision: an element
// is a unit of the layout, four bytes.  The attribute `precision` is "fp32" or "bf16".
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/frame_layout.h"
#include "onnxruntime/api.h"

namespace adafuse {

inline Precision parse_precision(const std::string& name) {
  if (name == "fp32") {
    return Precision::kFloat32;
  }
  if (name == "bf16") {
    return Precision::kBFloat16;
  }
  throw std::invalid_argument("the attribute precision is " + name + " but must be fp32 or bf16.");
}

inline Precision read_precision(const Ort::ConstKernelInfo& info) {
  try {
    return parse_precision(info.GetAttribute<std::string>("precision"));
  } catch (const Ort::Exception&) {
    throw std::invalid_argument("the attribute precision is missing or no string.");
  }
}

inline std::int64_t units_per_pixel(std::size_t channels, Precision precision) {
  return static_cast<std::int64_t>(channel_pitch(channels, precision) / kUnit);
}

}  // namespace adafuse
