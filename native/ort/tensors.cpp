#include "ort/tensors.h"

#include <algorithm>
#include <stdexcept>

#include "base/sizes.h"

namespace adafuse {
namespace {

void check_sizes(const std::string& name, const Dims& dims) {
  for (const std::int64_t dim : dims) {
    if (dim > static_cast<std::int64_t>(kMostSize)) {
      throw std::invalid_argument(name + " " + to_string(dims) + " has a dimension beyond " +
                                  std::to_string(kMostSize) + ".");
    }
  }
}

}  // namespace

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
  check_sizes(this->name, dims);
}

NamedTensor::NamedTensor(const Ort::KernelContext& context, std::size_t index,
                         const std::string& name, std::size_t rank)
    : NamedTensor(is_given(context, index) ? Ort::ConstValue(context.GetInput(index))
                                           : throw std::invalid_argument(name + " is missing."),
                  name, rank) {}

bool is_given(const Ort::KernelContext& context, std::size_t index) {
  // A trailing optional input may be missing from the node altogether.
  return index < context.GetInputCount() && context.GetInput(index) != nullptr;
}

Ort::UnownedValue make_output(const Ort::KernelContext& context, std::size_t index,
                              const Dims& dims) {
  std::size_t bytes = sizeof(float);
  for (const std::int64_t dim : dims) {
    bytes = checked_product({bytes, static_cast<std::size_t>(dim)});
  }
  return context.GetOutput(index, dims.data(), dims.size());
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
  if (!index || !is_given(context, *index)) {
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

void require_same_clips(const std::vector<NamedPolicy>& policies) {
  const NamedPolicy* first = nullptr;
  for (const NamedPolicy& each : policies) {
    if (!*each.second) {
      continue;
    }
    first = first == nullptr ? &each : first;
    const auto frames = [](const NamedPolicy& policy) {
      return std::to_string((*policy.second)->frames_per_clip());
    };
    if (frames(*first) != frames(each)) {
      throw std::invalid_argument(each.first + " has clips of " + frames(each) + " frames, but " +
                                  first->first + " has clips of " + frames(*first) + ".");
    }
  }
}

std::optional<KnownShape> known_shape(OrtShapeInferContext* raw_context, std::size_t input,
                                      std::size_t rank) {
  const Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  if (input >= context.GetInputCount()) {
    return std::nullopt;
  }
  const Ort::ShapeInferContext::Shape& shape = context.GetInputShape(input);
  if (shape.size() != rank) {
    return std::nullopt;
  }
  KnownShape known;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const bool named = axis == 0 && !shape[axis].IsInt();
    if (!named && (!shape[axis].IsInt() || shape[axis].AsInt() < 0)) {
      return std::nullopt;
    }
    known.dims.push_back(named ? -1 : shape[axis].AsInt());
    if (named) {
      known.rows_name = shape[axis].AsSym();
    }
  }
  check_sizes("input " + std::to_string(input), known.dims);
  return known;
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
