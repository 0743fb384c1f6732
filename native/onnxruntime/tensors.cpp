#include "onnxruntime/tensors.h"

#include <stdexcept>

namespace adafuse {

std::string to_string(const Dims& dims) {
  std::string text;
  for (const std::int64_t dim : dims) {
    text += (text.empty() ? "" : ", ") + std::to_string(dim);
  }
  return "(" + text + ")";
}

NamedTensor::NamedTensor(Ort::ConstValue value, std::string name, std::size_t rank)
    : name(std::move(name)), value(value) {
  dims = value.GetTensorTypeAndShapeInfo().GetShape();
  if (dims.size() != rank) {
    throw std::invalid_argument(this->name + " has shape " + to_string(dims) + " but must have " +
                                std::to_string(rank) + " dimensions.");
  }
}

bool holds_bfloat16(const NamedTensor& weights) {
  const ONNXTensorElementDataType type = weights.value.GetTensorTypeAndShapeInfo().GetElementType();
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT &&
      type != ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16) {
    throw std::invalid_argument(weights.description() + " must be float32 or bfloat16.");
  }
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}

void require(bool condition, const NamedTensor& a, const NamedTensor& b, const char* rule) {
  if (!condition) {
    throw std::invalid_argument(a.description() + " does not fit " + b.description() + ": " + rule +
                                ".");
  }
}

std::optional<Policy> read_policy(const Ort::KernelContext& context,
                                  std::optional<std::size_t> index, const char* name,
                                  const NamedTensor& x, std::size_t channels) {
  // A trailing optional input may be missing from the node altogether.
  if (!index || *index >= context.GetInputCount() || context.GetInput(*index) == nullptr) {
    return std::nullopt;
  }
  const NamedTensor policy(context, *index, name, 3);
  require(policy.size(0) * policy.size(1) == x.size(0), policy, x,
          "clips times frames must be the first dimension of X");
  if (policy.size(2) != channels) {
    throw std::invalid_argument(policy.description() + " must have " + std::to_string(channels) +
                                " channels.");
  }
  return Policy(name, policy.value.GetTensorData<std::int32_t>(), policy.size(0), policy.size(1),
                channels);
}

// ShapeInferContext::SetOutputShape() marks named dimensions by -2, which newer runtimes refuse.
void set_output_shape(OrtShapeInferContext* context, std::size_t output, const Dims& dims,
                      const char* first_name, ONNXTensorElementDataType type) {
  const OrtApi& api = Ort::GetApi();
  OrtTensorTypeAndShapeInfo* raw_info = nullptr;
  Ort::ThrowOnError(api.CreateTensorTypeAndShapeInfo(&raw_info));
  const Ort::TensorTypeAndShapeInfo info(raw_info);
  std::vector<const char*> names(dims.size(), "");
  names[0] = first_name;
  Ort::ThrowOnError(api.SetTensorElementType(info, type));
  Ort::ThrowOnError(api.SetDimensions(info, dims.data(), dims.size()));
  Ort::ThrowOnError(api.SetSymbolicDimensions(info, names.data(), names.size()));
  Ort::ThrowOnError(api.ShapeInferContext_SetOutputTypeShape(context, output, info));
}

}  // namespace adafuse
