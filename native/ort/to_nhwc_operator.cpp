#include "ort/to_nhwc_operator.h"

#include <stdexcept>

#include "layout/nchw_to_nhwc.h"
#include "ort/nhwc_tensors.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

constexpr const char* kName = "ChannelsLast";

// Throws std::invalid_argument where there are no pixels or channels.
NhwcLayout layout_for(const Dims& x, const ToNhwcAttributes& attributes) {
  if (x[1] == 0) {
    throw std::invalid_argument("X " + to_string(x) + " must have channels.");
  }
  return with_pixels(
      {static_cast<std::size_t>(x[2]), static_cast<std::size_t>(x[3]), attributes.border,
       channel_pitch(static_cast<std::size_t>(x[1]), attributes.precision)},
      "X", x);
}

void infer_shapes(OrtShapeInferContext* context) {
  const auto attributes = ToNhwcAttributes::read(Attributes(context));
  if (const auto x = known_shape(context, 0, 4)) {
    const char* const rows = x->rows_name.c_str();
    const NhwcLayout layout = layout_for(x->dims, attributes);
    set_output_shape(context, 0, frame_dims(x->dims[0], layout), rows);
    set_output_shape(context, 1, {x->dims[0], x->dims[1]}, rows);
  }
}

}  // namespace

ToNhwcAttributes ToNhwcAttributes::read(const Attributes& attributes) {
  attributes.require_layout_version();
  const Precision precision = attributes.precision();
  return {attributes.count("border", 0, kMostBorder), precision,
          precision == Precision::kInt8 ? attributes.scales(1).front() : 1};
}

OrtStatusPtr ToNhwcKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(kName, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void ToNhwcKernel::compute(const Ort::KernelContext& context,
                           const NodeRecording* recording) const {
  const NamedTensor x(context, 0, "X", 4);
  const NhwcLayout layout = layout_for(x.dims, attributes_);
  Ort::UnownedValue pooled = make_output(context, 1, {x.dims[0], x.dims[1]});
  nchw_to_nhwc(x.value.GetTensorData<float>(), x.size(0), x.size(1), layout, attributes_.precision,
               attributes_.scale, make_frames(context, 0, x.dims[0], layout),
               pooled.GetTensorMutableData<float>(), on_session_threads(context, recording));
}

ToNhwcOperator::ToNhwcOperator(bool infers_shapes) : SchemaOperator(kName) {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* /*self*/,
                                         OrtShapeInferContext* context) {
      return as_status(kName, [&] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr ToNhwcOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                            void** kernel) const {
  return as_status(kName, [&] { *kernel = new ToNhwcKernel(info); });
}

}  // namespace adafuse
