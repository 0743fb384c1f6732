#include "ort/conv_operator.h"

#include "operators/conditional_conv.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

void infer_shape(OrtShapeInferContext* context) {
  if (const auto result = infer_conv(context)) {
    set_output_shape(context, 0, result->dims, result->rows_name.c_str());
  }
}

}  // namespace

ConvKernel::ConvKernel(const ConvSignature& signature, const OrtKernelInfo* info)
    : node_(Ort::ConstKernelInfo(info).GetNodeName()),
      signature_(signature),
      attributes_(ConvAttributes::read(Attributes(info))) {}

OrtStatusPtr ConvKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void ConvKernel::compute(const Ort::KernelContext& context, const NodeRecording* recording) const {
  const ConvInputs inputs(context, attributes_);
  const auto& [x, weight, bias, shape] = inputs;
  const auto policy = read_policy(context, signature_.policy, "policy", x, shape.out_channels);
  const auto input_policy =
      read_policy(context, signature_.input_policy, "input_policy", x, shape.in_channels);
  require_same_clips({{"policy", &policy}, {"input_policy", &input_policy}});

  Ort::UnownedValue y = make_output(context, 0, inputs.output_dims());
  conditional_conv(shape,
                   {x.value.GetTensorData<float>(), weight.value.GetTensorData<float>(),
                    bias.value.GetTensorData<float>(), y.GetTensorMutableData<float>()},
                   policy ? &*policy : nullptr, input_policy ? &*input_policy : nullptr,
                   on_session_threads(context, recording), *workspaces_);
}

ConvOperator::ConvOperator(const ConvSignature& signature, bool infers_shapes)
    : SchemaOperator(signature.name), signature_(signature) {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const char* name = static_cast<const ConvOperator*>(self)->GetName();
      return as_status(name, [context] { infer_shape(context); });
    };
  }
}

OrtStatusPtr ConvOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                          void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new ConvKernel(signature_, info); });
}

}  // namespace adafuse
