// The attributes of a node, read and checked alike when its kernel is made and when shapes are
// inferred.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/precision.h"
#include "base/sizes.h"
#include "ort/api.h"

namespace adafuse {

// The widest border of frames, in pixels: kernels of 3x3 need one; more is a mistake, and would
// cost memory.
constexpr std::size_t kMostBorder = 16;
constexpr std::size_t kMostStride = 1024;
// The widest padding of convolutions as in ONNX, in pixels on each side.
constexpr std::int64_t kMostPad = 1024;

// The attributes of one node.  Methods throw std::invalid_argument, naming the attribute, where it
// is missing, of another type or out of bounds.
class Attributes {
 public:
  explicit Attributes(const OrtKernelInfo* info) : info_(info) {}
  explicit Attributes(const OrtShapeInferContext* context) : context_(context) {}

  // Whether there is an attribute of this name, of whatever type.
  bool exists(const char* name) const;
  // An integer from `least` to `most`.
  std::size_t count(const char* name, std::size_t least = 0, std::size_t most = kMostSize) const;
  // An integer from 0 to `most`, or `absent` where there is no such attribute.
  std::size_t count_or(const char* name, std::size_t absent, std::size_t most) const;
  bool flag(const char* name) const { return count(name, 0, 1) != 0; }
  // A flag (0 or 1), or nothing where there is no such attribute.
  std::optional<bool> flag_if_any(const char* name) const;
  std::string text(const char* name) const;
  std::vector<std::int64_t> integers(const char* name) const;
  std::optional<std::vector<std::int64_t>> integers_if_any(const char* name) const;

  // Throws unless the attribute `layout_version`, which files of release 0.1.0 do not have, is this
  // library's layout of frames.
  void require_layout_version() const;

  // The attribute `scales`, of `count` activations: value = scale * stored integer.
  std::vector<float> scales(std::size_t count) const;

  // The attribute `precision`: "fp32", "bf16" or "int8".
  Precision precision() const;
  // The attribute `precision`: "int8" if the operator's weights are quantized, else "fp32" or
  // "bf16".
  Precision precision(bool quantized) const;

 private:
  template <typename T>
  std::optional<T> find(const char* name) const;

  const OrtKernelInfo* info_ = nullptr;
  const OrtShapeInferContext* context_ = nullptr;
};

}  // namespace adafuse
