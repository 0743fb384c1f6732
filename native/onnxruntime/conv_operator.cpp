#include "onnxruntime/conv_operator.h"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

#include "kernels/conditional_conv.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

constexpr std::size_t kInput = 0;
constexpr std::size_t kWeight = 1;
constexpr std::size_t kBias = 2;

ConvShape make_shape(const NamedTensor& x, const NamedTensor& weight,
                     const ConvAttributes& attributes) {
  const auto stride = [&](std::size_t i) {
    return static_cast<std::size_t>(attributes.strides[i]);
  };
  const auto pad = [&](std::size_t i) { return static_cast<std::size_t>(attributes.pads[i]); };
  ConvShape shape;
  shape.rows = x.size(0);
  shape.in_channels = x.size(1);
  shape.in_height = x.size(2);
  shape.in_width = x.size(3);
  shape.out_channels = weight.size(0);
  shape.kernel_height = weight.size(2);
  shape.kernel_width = weight.size(3);
  shape.stride_y = stride(0);
  shape.stride_x = stride(1);
  shape.pad_top = pad(0);
  shape.pad_left = pad(1);
  shape.pad_bottom = pad(2);
  shape.pad_right = pad(3);
  require(weight.size(1) == shape.in_channels, weight, x,
          "the second dimensions, the input channels, must be equal");
  require(shape.taps() > 0 && shape.kernel_height <= shape.padded_height() &&
              shape.kernel_width <= shape.padded_width(),
          weight, x, "the kernel must lie within the padded frame");
  require(shape.in_channels * shape.taps() <= std::numeric_limits<std::uint32_t>::max(), weight, x,
          "an output channel must have fewer than 2^32 weights");
  return shape;
}

// Dimension of the output along one axis, for a frame and a kernel of known size.
std::int64_t out_size(std::int64_t in, std::int64_t pads, std::int64_t kernel,
                      std::int64_t stride) {
  return (in + pads - kernel) / stride + 1;
}

void infer_shape(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const ConvAttributes attributes{context.GetAttrInts("strides"), context.GetAttrInts("pads")};
  attributes.validate();
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(kInput);
  const Ort::ShapeInferContext::Shape& weight = context.GetInputShape(kWeight);
  if (x.size() != 4 || weight.size() != 4) {
    return;
  }
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  const bool rows_are_named = !x[0].IsInt();
  if (!(known(x[0]) || rows_are_named) || !std::all_of(x.begin() + 2, x.end(), known) ||
      !std::all_of(weight.begin(), weight.end(), known)) {
    return;
  }
  const auto& [strides, pads] = attributes;
  const std::int64_t height =
      out_size(x[2].AsInt(), pads[0] + pads[2], weight[2].AsInt(), strides[0]);
  const std::int64_t width =
      out_size(x[3].AsInt(), pads[1] + pads[3], weight[3].AsInt(), strides[1]);
  set_output_shape(raw_context, 0,
                   {rows_are_named ? -1 : x[0].AsInt(), weight[0].AsInt(), height, width},
                   rows_are_named ? x[0].AsSym() : "");
}

}  // namespace

void ConvAttributes::validate() const {
  const auto at_least = [](std::int64_t least) {
    return [least](std::int64_t value) { return value >= least; };
  };
  if (strides.size() != 2 || !std::all_of(strides.begin(), strides.end(), at_least(1))) {
    throw std::invalid_argument("strides are " + to_string(strides) +
                                " but must be two positive numbers.");
  }
  if (pads.size() != 4 || !std::all_of(pads.begin(), pads.end(), at_least(0))) {
    throw std::invalid_argument("pads are " + to_string(pads) +
                                " but must be four numbers, none negative.");
  }
}

ConvKernel::ConvKernel(const ConvSignature& signature, const OrtKernelInfo* info)
    : signature_(signature) {
  const auto read = [info](const char* name) {
    try {
      return Ort::ConstKernelInfo(info).GetAttributes<std::int64_t>(name);
    } catch (const Ort::Exception&) {
      throw std::invalid_argument(std::string("the attribute ") + name +
                                  " is missing or no list of integers.");
    }
  };
  attributes_ = {read("strides"), read("pads")};
  attributes_.validate();
}

OrtStatusPtr ConvKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] { compute(Ort::KernelContext(context)); });
}

void ConvKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, kInput, "X", 4);
  const NamedTensor weight(context, kWeight, "W", 4);
  const NamedTensor bias(context, kBias, "B", 1);
  const ConvShape shape = make_shape(x, weight, attributes_);
  require(bias.size(0) == shape.out_channels, bias, weight, "one bias per output channel");
  const auto policy = read_policy(context, signature_.policy, "policy", x, shape.out_channels);
  const auto input_policy =
      read_policy(context, signature_.input_policy, "input_policy", x, shape.in_channels);

  const std::array<std::int64_t, 4> dims{x.dims[0], weight.dims[0],
                                         static_cast<std::int64_t>(shape.out_height()),
                                         static_cast<std::int64_t>(shape.out_width())};
  Ort::UnownedValue y = context.GetOutput(0, dims.data(), dims.size());
  conditional_conv(shape,
                   {x.value.GetTensorData<float>(), weight.value.GetTensorData<float>(),
                    bias.value.GetTensorData<float>(), y.GetTensorMutableData<float>()},
                   policy ? &*policy : nullptr, input_policy ? &*input_policy : nullptr,
                   [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
                     parallel_for(context, count, body);
                   });
}

ConvOperator::ConvOperator(const ConvSignature& signature, bool infers_shapes)
    : signature_(signature) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const char* name = static_cast<const ConvOperator*>(self)->GetName();
      return as_status(name, [context] { infer_shape(context); });
    };
  }
}

ONNXTensorElementDataType ConvOperator::GetInputType(std::size_t index) const {
  return index <= kBias ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
}

OrtCustomOpInputOutputCharacteristic ConvOperator::GetInputCharacteristic(std::size_t index) const {
  return index == signature_.input_policy && signature_.input_policy_is_optional
             ? INPUT_OUTPUT_OPTIONAL
             : INPUT_OUTPUT_REQUIRED;
}

OrtStatusPtr ConvOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                          void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new ConvKernel(signature_, info); });
}

}  // namespace adafuse
