#include "onnxruntime/constants.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/huge_pages.h"
#include "kernels/precision.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

// A constant input, or nothing when it is absent.
std::optional<Ort::ConstValue> constant(const Ort::ConstKernelInfo& info, std::size_t index,
                                        const std::string& name) {
  if (index >= info.GetInputCount() || info.GetInputName(index).empty()) {
    return std::nullopt;
  }
  int is_constant = 0;
  const Ort::ConstValue value = info.GetTensorConstantInput(index, &is_constant);
  if (is_constant == 0) {
    throw std::invalid_argument(name + " must be a constant of the graph.");
  }
  return value;
}

// Of floating point, and read where it is in every run.
void move_to_huge_pages(const Ort::ConstValue& tensor) {
  const auto info = tensor.GetTensorTypeAndShapeInfo();
  const bool halves = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
  const std::size_t bytes = halves ? sizeof(BFloat16) : sizeof(float);
  prefer_huge_pages(tensor.GetTensorRawData(), info.GetElementCount() * bytes, true);
}

ConstantConv stored_by_panels(const NamedTensor& weight, const NamedTensor& bias) {
  const std::size_t outputs = bias.size(0), taps = weight.size(1);
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

std::optional<ConstantConv> read_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                                      const std::string& suffix, bool quantized) {
  const auto weight_value = constant(info, index, "W" + suffix);
  const auto bias_value = constant(info, index + 1, "B" + suffix);
  const auto scale_value = quantized ? constant(info, index + 2, "S" + suffix) : std::nullopt;
  if (!weight_value || !bias_value || scale_value.has_value() != quantized) {
    return std::nullopt;
  }
  const auto weight_info = weight_value->GetTensorTypeAndShapeInfo();
  const std::size_t rank = weight_info.GetDimensionsCount(), count = weight_info.GetElementCount();
  const NamedTensor bias(*bias_value, "B" + suffix, 1);
  if (!quantized && weight_info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    move_to_huge_pages(*weight_value);
    if (rank == 3) {
      return stored_by_panels({*weight_value, "W" + suffix, 3}, bias);
    }
  }
  const NamedTensor weight(*weight_value, "W" + suffix, 4);
  require(bias.size(0) == weight.size(0), bias, weight, "one bias per output channel");
  if (weight.size(2) != weight.size(3)) {
    throw std::invalid_argument(weight.description() + " must have a square kernel.");
  }
  ConstantConv conv;
  conv.weights = {nullptr, bias.value.GetTensorData<float>(), weight.size(0), weight.size(1),
                  weight.size(2) * weight.size(3)};
  if (quantized) {
    const NamedTensor scale(*scale_value, "S" + suffix, 1);
    require(scale.size(0) == weight.size(0), scale, weight, "one scale per output channel");
    const std::int8_t* const integers = weight.value.GetTensorData<std::int8_t>();
    conv.values.assign(integers, integers + count);
    conv.weights.weight = conv.values.data();
    conv.weights.scale = scale.value.GetTensorData<float>();
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

void prefer_huge_pages(const Ort::ConstKernelInfo& info, std::size_t index) {
  int is_constant = 0;
  const Ort::ConstValue value = info.GetTensorConstantInput(index, &is_constant);
  if (is_constant != 0) {
    move_to_huge_pages(value);
  }
}

std::size_t read_count(const Ort::ConstKernelInfo& info, const char* name) {
  std::int64_t value = -1;
  try {
    value = info.GetAttribute<std::int64_t>(name);
  } catch (const Ort::Exception&) {
    throw std::invalid_argument(std::string("the attribute ") + name +
                                " is missing or no integer.");
  }
  if (value < 0) {
    throw std::invalid_argument(std::string("the attribute ") + name + " is negative.");
  }
  return static_cast<std::size_t>(value);
}

std::vector<float> read_scales(const Ort::ConstKernelInfo& info, std::size_t count) {
  std::vector<float> scales;
  try {
    scales = info.GetAttributes<float>("scales");
  } catch (const Ort::Exception&) {
    throw std::invalid_argument("the attribute scales is missing or no list of numbers.");
  }
  if (scales.size() != count ||
      std::any_of(scales.begin(), scales.end(), [](float scale) { return !(scale > 0); })) {
    throw std::invalid_argument("the attribute scales must be " + std::to_string(count) +
                                " positive numbers.");
  }
  return scales;
}

}  // namespace adafuse
