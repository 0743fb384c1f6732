#include "onnxruntime/policy_operator.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/policy_network.h"
#include "onnxruntime/constants.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

enum Input : std::size_t { kPrevious, kFeatures, kW0, kS0, kB0, kW1, kB1, kWeighed, kInputs };

void compute(const Ort::KernelContext& context, std::int64_t frames) {
  const NamedTensor previous(context, kPrevious, "V_previous", 2);
  const NamedTensor features(context, kFeatures, "V", 2);
  const NamedTensor w0(context, kW0, "W0", 2), s0(context, kS0, "S0", 1), b0(context, kB0, "B0", 1);
  const NamedTensor w1(context, kW1, "W1", 2), b1(context, kB1, "B1", 1);
  require(previous.dims == features.dims, previous, features, "both are of the same frames");
  require(w0.size(1) == 2 * features.size(1), w0, features, "it weighs both frames' features");
  require(s0.size(0) == w0.size(0), s0, w0, "one factor per hidden unit");
  require(b0.size(0) == w0.size(0), b0, w0, "one bias per hidden unit");
  require(w1.size(0) == w0.size(0), w1, w0, "it weighs the hidden units");
  require(w1.size(1) % 3 == 0, w1, b1, "there are three actions per channel");
  require(b1.size(0) == w1.size(1), b1, w1, "one bias per action");
  std::optional<NamedTensor> weighed;
  if (kWeighed < context.GetInputCount() && context.GetInput(kWeighed) != nullptr) {
    weighed.emplace(context, kWeighed, "P", 2);
    require(weighed->size(0) == features.size(0), *weighed, features,
            "both are of the same frames");
    require(weighed->size(1) == w0.size(0), *weighed, w0, "one share per hidden unit");
  }
  if (features.dims[0] % frames != 0) {
    throw std::invalid_argument(features.description() + " must hold clips of " +
                                std::to_string(frames) + " frames.");
  }
  const Dims dims{features.dims[0] / frames, frames, w1.dims[1] / 3};
  Ort::UnownedValue policy = context.GetOutput(0, dims);
  const auto values = [](const NamedTensor& tensor) { return tensor.value.GetTensorData<float>(); };
  const PolicyHistory history =
      weighed ? PolicyHistory{nullptr, values(*weighed)} : PolicyHistory{values(previous), nullptr};
  const bool halves = holds_bfloat16(w0);
  if (halves != holds_bfloat16(w1)) {
    throw std::invalid_argument("W0 and W1 must have the same type.");
  }
  const auto run = [&](auto weight0, auto weight1) {
    decide(
        PolicyNetwork<std::remove_const_t<std::remove_pointer_t<decltype(weight0)>>>{
            features.size(1), w0.size(0), w1.size(1) / 3, weight0, values(s0), values(b0), weight1,
            values(b1)},
        history, values(features), features.size(0), policy.GetTensorMutableData<std::int32_t>(),
        [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
          parallel_for(context, count, body);
        });
  };
  if (halves) {
    run(static_cast<const BFloat16*>(w0.value.GetTensorRawData()),
        static_cast<const BFloat16*>(w1.value.GetTensorRawData()));
  } else {
    run(values(w0), values(w1));
  }
}

void infer_shapes(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& features = context.GetInputShape(kFeatures);
  const Ort::ShapeInferContext::Shape& w1 = context.GetInputShape(kW1);
  if (features.size() != 2 || w1.size() != 2 || !w1[1].IsInt()) {
    return;
  }
  const std::int64_t frames = std::max<std::int64_t>(1, context.GetAttrInt("frames"));
  const bool named = !features[0].IsInt();
  if (named && frames > 1) {
    return;  // the number of clips has a name that is not known here
  }
  set_output_shape(raw_context, 0,
                   {named ? -1 : features[0].AsInt() / frames, frames, w1[1].AsInt() / 3},
                   named ? features[0].AsSym() : "", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
}

}  // namespace

PolicyKernel::PolicyKernel(const OrtKernelInfo* info)
    : frames_(std::max<std::int64_t>(
          1, static_cast<std::int64_t>(read_count(Ort::ConstKernelInfo(info), "frames")))) {
  for (const std::size_t weights : {kW0, kW1}) {
    prefer_huge_pages(Ort::ConstKernelInfo(info), weights);
  }
}

OrtStatusPtr PolicyKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status("PolicyNetwork", [&] { compute(Ort::KernelContext(context), frames_); });
}

PolicyOperator::PolicyOperator(bool infers_shapes) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp*, OrtShapeInferContext* context) {
      return as_status("PolicyNetwork", [context] { infer_shapes(context); });
    };
  }
}

std::size_t PolicyOperator::GetInputTypeCount() const {
  return kInputs;
}

ONNXTensorElementDataType PolicyOperator::GetInputType(std::size_t index) const {
  return index == kW0 || index == kW1 ? kFloatingPoint : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic PolicyOperator::GetInputCharacteristic(
    std::size_t index) const {
  return index == kWeighed ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
}

OrtStatusPtr PolicyOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                            void** kernel) const {
  return as_status("PolicyNetwork", [&] { *kernel = new PolicyKernel(info); });
}

}  // namespace adafuse
