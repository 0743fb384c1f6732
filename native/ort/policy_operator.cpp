#include "ort/policy_operator.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "operators/policy_network.h"
#include "ort/constants.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

enum Input : std::size_t { kPrevious, kFeatures, kW0, kS0, kB0, kW1, kB1, kWeighed };

void compute(const Ort::KernelContext& context, const PolicyAttributes& attributes,
             Workspaces& workspaces, const NodeRecording* recording) {
  const NamedTensor features(context, kFeatures, "V", 2);
  const NamedTensor w0(context, kW0, "W0", 2), s0(context, kS0, "S0", 1), b0(context, kB0, "B0", 1);
  const NamedTensor w1(context, kW1, "W1", 2), b1(context, kB1, "B1", 1);
  std::optional<NamedTensor> previous, weighed;
  if (is_given(context, kPrevious)) {
    previous.emplace(context, kPrevious, "V_previous", 2);
    require(previous->dims == features.dims, *previous, features, "both are of the same frames");
    require(w0.size(1) == 2 * features.size(1), w0, features, "it weighs both frames' features");
  } else {
    require(w0.size(1) == features.size(1), w0, features,
            "without V_previous it weighs the features of one frame");
  }
  require(s0.size(0) == w0.size(0), s0, w0, "one factor per hidden unit");
  require(b0.size(0) == w0.size(0), b0, w0, "one bias per hidden unit");
  require(w1.size(0) == w0.size(0), w1, w0, "it weighs the hidden units");
  const std::size_t actions = attributes.actions.count;
  require(
      w1.size(1) % actions == 0, w1, b1,
      actions == 3 ? "there are three actions per channel" : "there are two actions per channel");
  require(b1.size(0) == w1.size(1), b1, w1, "one bias per action");
  if (is_given(context, kWeighed)) {
    if (!previous) {
      throw std::invalid_argument("P is given but V_previous is missing.");
    }
    weighed.emplace(context, kWeighed, "P", 2);
    require(weighed->size(0) == features.size(0), *weighed, features,
            "both are of the same frames");
    require(weighed->size(1) == w0.size(0), *weighed, w0, "one share per hidden unit");
  }
  const auto frames = static_cast<std::int64_t>(attributes.frames);
  if (features.dims[0] % frames != 0) {
    throw std::invalid_argument(features.description() + " must hold clips of " +
                                std::to_string(frames) + " frames.");
  }
  const bool halves = holds_bfloat16(w0);
  if (halves != holds_bfloat16(w1)) {
    throw std::invalid_argument("W0 and W1 must have the same type.");
  }
  const std::size_t channels = w1.size(1) / actions;
  Ort::UnownedValue policy = make_output(
      context, 0, {features.dims[0] / frames, frames, static_cast<std::int64_t>(channels)});
  const auto values = [](const NamedTensor& tensor) { return tensor.value.GetTensorData<float>(); };
  PolicyHistory history{nullptr, nullptr};
  if (weighed) {
    history.weighed = values(*weighed);
  } else if (previous) {
    history.features = values(*previous);
  }
  const auto run = [&](auto weight0, auto weight1) {
    decide(
        PolicyNetwork<std::remove_const_t<std::remove_pointer_t<decltype(weight0)>>>{
            features.size(1), w0.size(0), channels, weight0, values(s0), values(b0), weight1,
            values(b1), attributes.actions, attributes.rectifies},
        history, values(features), features.size(0), policy.GetTensorMutableData<std::int32_t>(),
        on_session_threads(context, recording), workspaces);
  };
  if (halves) {
    run(static_cast<const BFloat16*>(w0.value.GetTensorRawData()),
        static_cast<const BFloat16*>(w1.value.GetTensorRawData()));
  } else {
    run(values(w0), values(w1));
  }
}

void infer_shapes(OrtShapeInferContext* context) {
  const auto attributes = PolicyAttributes::read(Attributes(context));
  const auto features = known_shape(context, kFeatures, 2), w1 = known_shape(context, kW1, 2);
  const auto frames = static_cast<std::int64_t>(attributes.frames);
  const auto actions = static_cast<std::int64_t>(attributes.actions.count);
  if (!features || !w1) {
    return;
  }
  const std::int64_t rows = features->dims[0];
  if (rows < 0 && frames > 1) {
    return;  // the number of clips has a name that is not known here
  }
  set_output_shape(context, 0, {rows < 0 ? -1 : rows / frames, frames, w1->dims[1] / actions},
                   features->rows_name.c_str(), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
}

}  // namespace

PolicyAttributes PolicyAttributes::read(const Attributes& attributes) {
  PolicyAttributes result{
      attributes.count("frames", 1), {}, attributes.count_or("relu", 1, 1) != 0};
  if (const auto actions = attributes.integers_if_any("actions")) {
    const auto bad = [&](std::int64_t action) {
      return action < 0 || action > 2 || std::count(actions->begin(), actions->end(), action) > 1;
    };
    if (actions->size() < 2 || actions->size() > result.actions.values.size() ||
        std::any_of(actions->begin(), actions->end(), bad)) {
      throw std::invalid_argument("the attribute actions is " + to_string(*actions) +
                                  " but must be two or three of 0, 1 and 2.");
    }
    result.actions.count = actions->size();
    std::copy(actions->begin(), actions->end(), result.actions.values.begin());
  }
  return result;
}

PolicyKernel::PolicyKernel(const OrtKernelInfo* info)
    : node_(Ort::ConstKernelInfo(info).GetNodeName()),
      attributes_(PolicyAttributes::read(Attributes(info))) {
  for (const std::size_t weights : {kW0, kW1}) {
    add_constant(weights_, Ort::ConstKernelInfo(info), weights);
  }
}

OrtStatusPtr PolicyKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status("PolicyNetwork", [&] {
    const NodeRecording recording(node_);
    weights_.move_some();
    compute(Ort::KernelContext(context), attributes_, *workspaces_, recording.get());
  });
}

PolicyOperator::PolicyOperator(bool infers_shapes) : SchemaOperator("PolicyNetwork") {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp*, OrtShapeInferContext* context) {
      return as_status("PolicyNetwork", [context] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr PolicyOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                            void** kernel) const {
  return as_status("PolicyNetwork", [&] { *kernel = new PolicyKernel(info); });
}

}  // namespace adafuse
