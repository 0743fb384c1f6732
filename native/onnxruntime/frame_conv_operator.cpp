#include "onnxruntime/frame_conv_operator.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "onnxruntime/constants.h"
#include "onnxruntime/frames.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

std::string numbered(const char* name, std::size_t source) {
  return source == 0 ? name : name + std::to_string(source + 1);
}

void infer_shapes(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(FrameConvSignature::kInput);
  const Ort::ShapeInferContext::Shape& weight = context.GetInputShape(FrameConvSignature::kWeight);
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  if (x.size() != 4 || weight.size() != 4 || !known(weight[0]) || !known(x[1]) || !known(x[2]) ||
      (x[0].IsInt() && x[0].AsInt() < 0)) {
    return;
  }
  const std::int64_t stride = context.GetAttrInt("stride"), border = context.GetAttrInt("border");
  const std::int64_t input_border = context.GetAttrInt("input_border");
  const auto size = [=](std::int64_t input) {
    return (input - 2 * input_border + stride - 1) / stride + 2 * border;
  };
  const bool rows_are_named = !x[0].IsInt();
  const std::int64_t rows = rows_are_named ? -1 : x[0].AsInt();
  const char* name = rows_are_named ? x[0].AsSym() : "";
  const std::int64_t channels = weight[0].AsInt();
  set_output_shape(
      raw_context, 0,
      {rows, size(x[1].AsInt()), size(x[2].AsInt()),
       units_per_pixel(static_cast<std::size_t>(channels), read_precision(raw_context))},
      name);
  set_output_shape(raw_context, 1, {rows, channels}, name);
}

}  // namespace

FrameConvKernel::FrameConvKernel(const FrameConvSignature& signature, const OrtKernelInfo* raw_info)
    : signature_(signature) {
  const Ort::ConstKernelInfo info(raw_info);
  const auto conv = read_conv(info, FrameConvSignature::kWeight, "", signature.quantized);
  if (!conv) {
    throw std::invalid_argument("weights, biases or scales are missing.");
  }
  FrameScales scales;
  if (signature.quantized) {
    const std::vector<float> values = read_scales(info, 2);
    scales = {values[0], values[1]};
  }
  const auto given = [&](std::size_t input) {
    return input < info.GetInputCount() && !info.GetInputName(input).empty();
  };
  for (const std::int64_t channels : info.GetAttributes<std::int64_t>("channels")) {
    const std::size_t source = sources_.size();
    if (channels < 0 || source == kMaxSources || !given(signature.source_input(source))) {
      throw std::invalid_argument("the attribute channels needs a count for each input of frames.");
    }
    sources_.push_back(
        {static_cast<std::size_t>(channels), given(signature.source_policy(source))});
  }
  input_border_ = read_count(info, "input_border");
  conv_ = std::make_unique<const FrameConv>(
      FrameConvSpec{conv->weights, sources_, given(signature.policy()), read_count(info, "stride"),
                    input_border_, read_count(info, "border"), read_count(info, "winograd") != 0,
                    scales},
      *tile_kernels(read_precision(info)).front());
}

OrtStatusPtr FrameConvKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] { compute(Ort::KernelContext(context)); });
}

void FrameConvKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, FrameConvSignature::kInput, "X", 4);
  const std::size_t edges = 2 * input_border_;
  if (x.size(1) <= edges || x.size(2) <= edges) {
    throw std::invalid_argument(x.description() + " must hold frames with " +
                                std::to_string(input_border_) + " pixels of border.");
  }
  const std::size_t height = x.size(1) - edges, width = x.size(2) - edges;
  std::optional<Policy> policies[kMaxSources];
  FrameSource sources[kMaxSources];
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const NamedTensor frames(context, signature_.source_input(i), numbered("X", i), 4);
    const std::size_t units = conv_->input_layout(i, height, width).pitch / kUnit;
    require(std::equal(x.dims.begin(), x.dims.begin() + 3, frames.dims.begin()), frames, x,
            "frames must have the same number and size");
    if (frames.size(3) != units) {
      throw std::invalid_argument(frames.description() + " must have " + std::to_string(units) +
                                  " units per pixel.");
    }
    policies[i] = read_policy(context, signature_.source_policy(i),
                              numbered("input_policy", i).c_str(), x, sources_[i].channels);
    sources[i] = {static_cast<const char*>(frames.value.GetTensorRawData()),
                  policies[i] ? &*policies[i] : nullptr};
  }
  const auto policy = read_policy(context, signature_.policy(), "policy", x, conv_->outputs());
  const Dims pooled_dims{x.dims[0], static_cast<std::int64_t>(conv_->outputs())};
  Ort::UnownedValue pooled = context.GetOutput(1, pooled_dims.data(), pooled_dims.size());
  conv_->run(x.size(0), height, width,
             {sources, policy ? &*policy : nullptr,
              make_frames(context, 0, x.dims[0], conv_->output_layout(height, width)),
              pooled.GetTensorMutableData<float>()},
             [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
               parallel_for(context, count, body);
             });
}

FrameConvOperator::FrameConvOperator(const FrameConvSignature& signature, bool infers_shapes)
    : signature_(signature) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const FrameConvSignature& signature = static_cast<const FrameConvOperator*>(self)->signature_;
      return as_status(signature.name, [&] { infer_shapes(context); });
    };
  }
}

ONNXTensorElementDataType FrameConvOperator::GetInputType(std::size_t index) const {
  if (index == FrameConvSignature::kWeight) {
    return signature_.quantized ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 : kFloatingPoint;
  }
  const std::size_t first = signature_.policy();
  const bool policy = index == first || (index > first && (index - first) % 2 == 1);
  return policy ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic FrameConvOperator::GetInputCharacteristic(
    std::size_t index) const {
  return index >= signature_.policy() ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

OrtStatusPtr FrameConvOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                               void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new FrameConvKernel(signature_, info); });
}

}  // namespace adafuse
