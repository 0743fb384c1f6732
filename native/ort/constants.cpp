#include "ort/constants.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/precision.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

// A constant input, or nothing when it is absent.
std::optional<Ort::ConstValue> constant(const Ort::ConstKernelInfo& info, std::size_t index,
                                        const std::string& name) {
  if (!is_given(info, index)) {
    return std::nullopt;
  }
  int is_constant = 0;
  const Ort::ConstValue value = info.GetTensorConstantInput(index, &is_constant);
  if (is_constant == 0) {
    throw std::invalid_argument(name + " must be a constant of the graph.");
  }
  return value;
}

void require_values(const NamedTensor& weight) {
  for (std::size_t axis = 0; axis < weight.dims.size(); ++axis) {
    if (weight.size(axis) == 0) {
      throw std::invalid_argument(weight.description() + " must not be empty.");
    }
  }
}

// Scales of the weights, per output: weight = scale * integer.  Throws unless all are positive.
const float* checked_scales(const NamedTensor& scale) {
  const float* const values = scale.value.GetTensorData<float>();
  if (!std::all_of(values, values + scale.size(0),
                   [](float value) { return value > 0 && std::isfinite(value); })) {
    throw std::invalid_argument(scale.name + " must hold positive numbers.");
  }
  return values;
}

ConstantConv stored_by_panels(const NamedTensor& weight, const NamedTensor& bias) {
  const std::size_t outputs = bias.size(0), taps = weight.size(1);
  require_values(weight);
  require(weight.size(0) == (outputs + kStoredPanel - 1) / kStoredPanel, weight, bias,
          "a panel per 32 output channels");
  if (weight.size(2) % kStoredPanel != 0 || (taps != 1 && taps != 9)) {
    throw std::invalid_argument(
        weight.description() +
        " must be (panels, 1 or 9, inputs * 32) or (outputs, inputs, k, k).");
  }
  ConstantConv conv;
  conv.weights = {nullptr, bias.value.GetTensorData<float>(), outputs,
                  weight.size(2) / kStoredPanel, taps};
  conv.weights.panels = weight.value.GetTensorData<float>();
  conv.weights.lasting = true;
  return conv;
}

}  // namespace

bool is_given(const Ort::ConstKernelInfo& info, std::size_t index) {
  return index < info.GetInputCount() && !info.GetInputName(index).empty();
}

ConstantConv read_needed_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                              const std::string& suffix, bool quantized) {
  auto conv = read_conv(info, index, suffix, quantized);
  if (!conv) {
    throw std::invalid_argument("W" + suffix + " is missing.");
  }
  return std::move(*conv);
}

std::optional<ConstantConv> read_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                                      const std::string& suffix, bool quantized) {
  const auto weight_value = constant(info, index, "W" + suffix);
  const auto bias_value = constant(info, index + 1, "B" + suffix);
  const auto scale_value = quantized ? constant(info, index + 2, "S" + suffix) : std::nullopt;
  if (!weight_value && !bias_value && !scale_value) {
    return std::nullopt;
  }
  if (!weight_value || !bias_value || scale_value.has_value() != quantized) {
    const std::string name = !weight_value ? "W" : !bias_value ? "B" : "S";
    throw std::invalid_argument(name + suffix + " is missing.");
  }
  const auto weight_info = weight_value->GetTensorTypeAndShapeInfo();
  const std::size_t rank = weight_info.GetDimensionsCount();
  const NamedTensor bias(*bias_value, "B" + suffix, 1);
  if (!quantized && weight_info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    if (rank == 3) {
      return stored_by_panels({*weight_value, "W" + suffix, 3}, bias);
    }
  }
  const NamedTensor weight(*weight_value, "W" + suffix, 4);
  require_values(weight);
  require(bias.size(0) == weight.size(0), bias, weight, "one bias per output channel");
  if (weight.size(2) != weight.size(3)) {
    throw std::invalid_argument(weight.description() + " must have a square kernel.");
  }
  ConstantConv conv;
  conv.weights = {nullptr, bias.value.GetTensorData<float>(), weight.size(0), weight.size(1),
                  weight.size(2) * weight.size(3)};
  const std::size_t count = weight_info.GetElementCount();
  if (quantized) {
    const NamedTensor scale(*scale_value, "S" + suffix, 1);
    require(scale.size(0) == weight.size(0), scale, weight, "one scale per output channel");
    const std::int8_t* const integers = weight.value.GetTensorData<std::int8_t>();
    conv.values.assign(integers, integers + count);
    conv.weights.weight = conv.values.data();
    conv.weights.scale = checked_scales(scale);
  } else if (holds_bfloat16(weight)) {
    const char* const halves = static_cast<const char*>(weight.value.GetTensorRawData());
    conv.values.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      conv.values.push_back(decode(Precision::kBFloat16, halves, i));
    }
    conv.weights.weight = conv.values.data();
  } else {
    conv.weights.weight = weight.value.GetTensorData<float>();
    conv.weights.lasting = true;  // constants live as long as the session
  }
  return conv;
}

void add_constant(WrittenMemory& memory, const Ort::ConstKernelInfo& info, std::size_t index) {
  if (!is_given(info, index)) {
    return;
  }
  int is_constant = 0;
  const Ort::ConstValue value = info.GetTensorConstantInput(index, &is_constant);
  if (is_constant != 0) {
    const auto tensor = value.GetTensorTypeAndShapeInfo();
    const auto type = tensor.GetElementType();
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
      memory.add(value.GetTensorRawData(), tensor.GetElementCount() * sizeof(float));
    } else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16) {
      memory.add(value.GetTensorRawData(), tensor.GetElementCount() * sizeof(BFloat16));
    }
  }
}

}  // namespace adafuse
