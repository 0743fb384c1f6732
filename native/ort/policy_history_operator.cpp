#include "ort/policy_history_operator.h"

#include "operators/policy_network.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

void compute(const Ort::KernelContext& context, const NodeRecording* recording) {
  const NamedTensor previous(context, 0, "V_previous", 2), w0(context, 1, "W0", 2);
  require(w0.size(1) == 2 * previous.size(1), w0, previous, "it weighs both frames' features");
  Ort::UnownedValue weighed = make_output(context, 0, {previous.dims[0], w0.dims[0]});
  const auto run = [&](auto weight0) {
    weigh_history(previous.size(1), w0.size(0), weight0, previous.value.GetTensorData<float>(),
                  previous.size(0), weighed.GetTensorMutableData<float>(),
                  on_session_threads(context, recording));
  };
  if (holds_bfloat16(w0)) {
    run(static_cast<const BFloat16*>(w0.value.GetTensorRawData()));
  } else {
    run(w0.value.GetTensorData<float>());
  }
}

void infer_shapes(OrtShapeInferContext* context) {
  const auto previous = known_shape(context, 0, 2), w0 = known_shape(context, 1, 2);
  if (previous && w0 && w0->dims[0] >= 0) {
    set_output_shape(context, 0, {previous->dims[0], w0->dims[0]}, previous->rows_name.c_str());
  }
}

}  // namespace

OrtStatusPtr PolicyHistoryKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status("PolicyHistory", [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

PolicyHistoryOperator::PolicyHistoryOperator(bool infers_shapes) : SchemaOperator("PolicyHistory") {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp*, OrtShapeInferContext* context) {
      return as_status("PolicyHistory", [context] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr PolicyHistoryOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                                   void** kernel) const {
  return as_status("PolicyHistory", [&] { *kernel = new PolicyHistoryKernel(info); });
}

}  // namespace adafuse
