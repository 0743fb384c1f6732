#include "onnxruntime/residual_operator.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "onnxruntime/constants.h"
#include "onnxruntime/frames.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

void infer_shapes(const ResidualSignature& signature, OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(ResidualSignature::kInput);
  const Ort::ShapeInferContext::Shape& last =
      context.GetInputShape(signature.weight(signature.convolutions - 1) + 1);  // its biases
  if (x.size() != 4 || last.size() != 1 || !last[0].IsInt()) {
    return;
  }
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  const bool rows_are_named = !x[0].IsInt();
  if (!(known(x[0]) || rows_are_named) || !known(x[1]) || !known(x[2])) {
    return;
  }
  const std::int64_t stride = context.GetAttrInt("stride");
  const std::int64_t edges = signature.convolutions == 2 ? 2 : 0;
  const auto strided = [=](std::int64_t size) {
    return (size - edges + stride - 1) / stride + edges;
  };
  const std::int64_t rows = rows_are_named ? -1 : x[0].AsInt();
  const char* name = rows_are_named ? x[0].AsSym() : "";
  const std::int64_t channels = last[0].AsInt();
  const std::int64_t pitch = static_cast<std::int64_t>(
      units_per_pixel(static_cast<std::size_t>(channels), read_precision(raw_context)));
  set_output_shape(raw_context, 0, {rows, strided(x[1].AsInt()), strided(x[2].AsInt()), pitch},
                   name);
  set_output_shape(raw_context, 1, {rows, channels}, name);
}

}  // namespace

ResidualKernel::ResidualKernel(const ResidualSignature& signature, const OrtKernelInfo* raw_info)
    : signature_(signature) {
  const Ort::ConstKernelInfo info(raw_info);
  frames_ = std::max<std::size_t>(1, read_count(info, "frames"));
  std::vector<ConstantConv> convolutions;
  for (std::size_t i = 0; i < signature.convolutions; ++i) {
    auto conv = read_conv(info, signature.weight(i), std::to_string(i + 1), signature.quantized);
    if (!conv) {
      throw std::invalid_argument("weights, biases or scales are missing.");
    }
    convolutions.push_back(std::move(*conv));
  }
  const auto shortcut = read_conv(info, signature.shortcut_weight(), "S", signature.quantized);
  ResidualBlockSpec spec{convolutions[0].weights,
                         convolutions[1].weights,
                         std::nullopt,
                         std::nullopt,
                         read_count(info, "stride"),
                         {read_count(info, "shift_next"), read_count(info, "shift_previous")},
                         {}};
  if (convolutions.size() > 2) {
    spec.conv3 = convolutions[2].weights;
  }
  if (shortcut) {
    spec.shortcut = shortcut->weights;
  }
  if (signature.quantized) {
    const std::vector<float> scales = read_scales(info, signature.convolutions + 1);
    spec.scales = {scales[0], scales[1], scales[scales.size() - 2], scales.back()};
  }
  spec.winograd = read_count(info, "winograd") != 0;
  block_ = std::make_unique<const ResidualBlock>(spec, *tile_kernels(read_precision(info)).front());
}

OrtStatusPtr ResidualKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] { compute(Ort::KernelContext(context)); });
}

void ResidualKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, ResidualSignature::kInput, "X", 4);
  const std::size_t edges = 2 * block_->border();
  const FrameLayout input = block_->input_layout(x.size(1) - edges, x.size(2) - edges);
  const std::size_t units = input.pitch / kUnit;
  if (x.size(1) <= edges || x.size(2) <= edges || x.size(3) != units) {
    throw std::invalid_argument(x.description() + " must hold frames with " +
                                std::to_string(block_->border()) + " pixels of border and " +
                                std::to_string(units) + " units per pixel.");
  }
  if (x.size(0) % frames_ != 0) {
    throw std::invalid_argument(x.description() + " must hold clips of " + std::to_string(frames_) +
                                " frames.");
  }
  const auto policy =
      read_policy(context, signature_.policy(), "policy", x, block_->mid_channels());
  if (policy && policy->frames() != frames_) {
    throw std::invalid_argument("policy has clips of " + std::to_string(policy->frames()) +
                                " frames, not of " + std::to_string(frames_) + ".");
  }
  const FrameLayout output = block_->output_layout(input.height, input.width);
  const Dims pooled_dims{x.dims[0], static_cast<std::int64_t>(block_->out_channels())};
  Ort::UnownedValue pooled = context.GetOutput(1, pooled_dims.data(), pooled_dims.size());
  const ResidualBlockTensors tensors{static_cast<const char*>(x.value.GetTensorRawData()),
                                     make_frames(context, 0, x.dims[0], output),
                                     pooled.GetTensorMutableData<float>()};
  const auto spread = [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
    parallel_for(context, count, body);
  };
  if (signature_.streams) {
    run_streams(context, x, input, tensors, policy, spread);
  } else {
    block_->run(x.size(0) / frames_, frames_, input.height, input.width, tensors,
                policy ? &*policy : nullptr, spread);
  }
}

void ResidualKernel::run_streams(const Ort::KernelContext& context, const NamedTensor& x,
                                 const FrameLayout& input, const ResidualBlockTensors& tensors,
                                 const std::optional<Policy>& policy,
                                 const ParallelFor& parallel_for) const {
  const NamedTensor previous(context, signature_.previous(), "X_previous", 4);
  const NamedTensor previous_r(context, signature_.previous() + 1, "R_previous", 4);
  const NamedTensor missing(context, signature_.missing(), "missing", 2);
  const FrameLayout history = block_->history_layout(input.height, input.width);
  const Dims channels{x.dims[0], static_cast<std::int64_t>(block_->mid_channels())};
  require(previous.dims == x.dims, previous, x, "both are frames of the same streams");
  require(previous_r.dims == frame_dims(x.dims[0], history), previous_r, x,
          "one frame per stream, with room for every channel of conv1");
  require(missing.dims == channels, missing, x, "one entry per stream and channel of conv1");
  if (!policy) {
    throw std::invalid_argument("policy is missing.");
  }
  char* const next = make_frames(context, 2, x.dims[0], history);
  Ort::UnownedValue next_missing =
      context.GetOutput(ResidualSignature::kNextMissing, channels.data(), channels.size());
  block_->run_streams(x.size(0), input.height, input.width, tensors,
                      {static_cast<const char*>(previous.value.GetTensorRawData()),
                       static_cast<const char*>(previous_r.value.GetTensorRawData()),
                       missing.value.GetTensorData<std::int32_t>(), next,
                       next_missing.GetTensorMutableData<std::int32_t>()},
                      *policy, parallel_for);
}

ResidualOperator::ResidualOperator(const ResidualSignature& signature, bool infers_shapes)
    : signature_(signature) {
  OrtCustomOp::version = kApiVersion;
  if (!signature.streams) {  // whose X is the next frame's X_previous
    // Y may take the place of X: where the sizes are equal this spares a third of the memory
    // traffic.
    OrtCustomOp::GetMayInplace = [](int** input, int** output) -> std::size_t {
      *input = new int(ResidualSignature::kInput);
      *output = new int(0);
      return 1;
    };
    OrtCustomOp::ReleaseMayInplace = [](int* input, int* output) {
      delete input;
      delete output;
    };
  }
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const ResidualSignature& signature = static_cast<const ResidualOperator*>(self)->signature_;
      return as_status(signature.name, [&] { infer_shapes(signature, context); });
    };
  }
}

ONNXTensorElementDataType ResidualOperator::GetInputType(std::size_t index) const {
  if (signature_.is_weight(index)) {
    return signature_.quantized ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 : kFloatingPoint;
  }
  return index == signature_.policy() || (signature_.streams && index == signature_.missing())
             ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
             : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic ResidualOperator::GetInputCharacteristic(
    std::size_t index) const {
  return index >= signature_.policy() && index < signature_.previous() ? INPUT_OUTPUT_OPTIONAL
                                                                       : INPUT_OUTPUT_REQUIRED;
}

OrtStatusPtr ResidualOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                              void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new ResidualKernel(signature_, info); });
}

}  // namespace adafuse
