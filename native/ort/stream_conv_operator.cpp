#include "ort/stream_conv_operator.h"

#include <stdexcept>
#include <string>

#include "operators/stream_conv.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

// The inputs behind X, W and B, and the outputs.
enum Input : std::size_t {
  kPolicy = 3,
  kPreviousX,
  kPreviousR,
  kMissing,
  kInputPolicy,
  kPreviousInputPolicy
};
enum Output : std::size_t { kY, kR, kNextMissing };

constexpr ONNXTensorElementDataType kInt32 = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;

void infer_shapes(OrtShapeInferContext* context) {
  const auto result = infer_conv(context);
  if (!result) {
    return;
  }
  const Dims& dims = result->dims;
  const char* rows = result->rows_name.c_str();
  set_output_shape(context, kY, dims, rows);
  set_output_shape(context, kR, dims, rows);
  set_output_shape(context, kNextMissing, {dims[0], dims[1]}, rows, kInt32);
}

// Each row belongs to another stream.
void require_one_frame(const std::optional<Policy>& policy, const char* name) {
  if (policy && policy->frames_per_clip() != 1) {
    throw std::invalid_argument(std::string(name) + " has clips of " +
                                std::to_string(policy->frames_per_clip()) + " frames, not of 1.");
  }
}

}  // namespace

OrtStatusPtr StreamConvKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status("StreamGatedConv", [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void StreamConvKernel::compute(const Ort::KernelContext& context,
                               const NodeRecording* recording) const {
  const ConvInputs inputs(context, attributes_);
  const auto& [x, weight, bias, shape] = inputs;
  const Dims dims = inputs.output_dims();
  const NamedTensor previous_x(context, kPreviousX, "X_previous", 4);
  const NamedTensor previous_r(context, kPreviousR, "R_previous", 4);
  const NamedTensor missing(context, kMissing, "missing", 2);
  require(previous_x.dims == x.dims, previous_x, x, "both are frames of the same streams");
  require(previous_r.dims == dims, previous_r, weight, "its shape must be that of the result");
  require(missing.dims == Dims{dims[0], dims[1]}, missing, weight, "one entry per result channel");
  const auto policy = read_policy(context, kPolicy, "policy", x, shape.out_channels);
  const auto input_policy =
      read_policy(context, kInputPolicy, "input_policy", x, shape.in_channels);
  const auto previous_input_policy =
      read_policy(context, kPreviousInputPolicy, "previous_input_policy", x, shape.in_channels);

  if (!policy) {
    throw std::invalid_argument("policy is missing.");
  }
  require_one_frame(policy, "policy");
  require_one_frame(input_policy, "input_policy");
  require_one_frame(previous_input_policy, "previous_input_policy");
  Ort::UnownedValue y = make_output(context, kY, dims);
  Ort::UnownedValue r = make_output(context, kR, dims);
  Ort::UnownedValue next_missing = make_output(context, kNextMissing, missing.dims);
  stream_conv(shape,
              {x.value.GetTensorData<float>(), weight.value.GetTensorData<float>(),
               bias.value.GetTensorData<float>(), previous_x.value.GetTensorData<float>(),
               previous_r.value.GetTensorData<float>(), missing.value.GetTensorData<std::int32_t>(),
               y.GetTensorMutableData<float>(), r.GetTensorMutableData<float>(),
               next_missing.GetTensorMutableData<std::int32_t>()},
              *policy, input_policy ? &*input_policy : nullptr,
              previous_input_policy ? &*previous_input_policy : nullptr,
              on_session_threads(context, recording), *workspaces_);
}

StreamConvOperator::StreamConvOperator(bool infers_shapes) : SchemaOperator("StreamGatedConv") {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp*, OrtShapeInferContext* context) {
      return as_status("StreamGatedConv", [context] { adafuse::infer_shapes(context); });
    };
  }
}

OrtStatusPtr StreamConvOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                                void** kernel) const {
  return as_status("StreamGatedConv", [&] { *kernel = new StreamConvKernel(info); });
}

}  // namespace adafuse
