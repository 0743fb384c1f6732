// Inputs and attributes that all convolutions of the domain have: X, W, B, strides and pads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layout/conv_shape.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/tensors.h"

namespace adafuse {

// Strides and pads, checked.
struct ConvAttributes {
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> pads;

  // Throws std::invalid_argument.
  static ConvAttributes read(const Attributes& attributes);
};

// The first three inputs, checked against each other.
struct ConvInputs {
  NamedTensor x;
  NamedTensor weight;
  NamedTensor bias;
  ConvShape shape;

  // Throws std::invalid_argument.
  ConvInputs(const Ort::KernelContext& context, const ConvAttributes& attributes);

  // (rows, Cout, H', W')
  Dims output_dims() const;
};

// For shape inference: the result, or nothing where too little is known.
std::optional<KnownShape> infer_conv(OrtShapeInferContext* context);

}  // namespace adafuse
