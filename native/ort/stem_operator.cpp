#include "ort/stem_operator.h"

#include <stdexcept>

#include "ort/nhwc_tensors.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

void infer_shapes(OrtShapeInferContext* context, bool quantized) {
  const auto attributes = StemAttributes::read(Attributes(context), quantized);
  const auto x = known_shape(context, 0, 4), bias = known_shape(context, 2, 1);
  if (!x || !bias || bias->dims[0] < 0) {
    return;
  }
  const std::size_t pitch = channel_pitch(bias->size(0), attributes.precision);
  const NhwcLayout layout =
      with_pixels(stem_layout({x->size(2), x->size(3), attributes.border, pitch}, attributes.stride,
                              attributes.pool),
                  "X", x->dims);
  const char* const rows = x->rows_name.c_str();
  set_output_shape(context, 0, frame_dims(x->dims[0], layout), rows);
  set_output_shape(context, 1, {x->dims[0], bias->dims[0]}, rows);
}

}  // namespace

StemAttributes StemAttributes::read(const Attributes& attributes, bool quantized) {
  attributes.require_layout_version();
  StemAttributes result{attributes.count("stride", 1, kMostStride),
                        {attributes.count("pool_pad", 0, 1), attributes.flag("pool_ceil")},
                        attributes.count("border", 0, kMostBorder),
                        attributes.precision(quantized),
                        {}};
  if (quantized) {
    const std::vector<float> scales = attributes.scales(2);
    result.scales = {scales[0], scales[1]};
  }
  return result;
}

StemKernel::StemKernel(const char* name, const OrtKernelInfo* info, bool quantized)
    : node_(Ort::ConstKernelInfo(info).GetNodeName()), name_(name) {
  const auto attributes = StemAttributes::read(Attributes(info), quantized);
  const ConstantConv conv = read_needed_conv(Ort::ConstKernelInfo(info), 1, "", quantized);
  stem_ = std::make_unique<const Stem>(
      conv.weights, attributes.stride, attributes.pool, attributes.border,
      *igemm_kernels(attributes.precision).front(), attributes.scales);
}

OrtStatusPtr StemKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(name_, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void StemKernel::compute(const Ort::KernelContext& context, const NodeRecording* recording) const {
  const NamedTensor x(context, 0, "X", 4);
  if (x.size(1) != stem_->in_channels()) {
    throw std::invalid_argument(x.description() + " must have " +
                                std::to_string(stem_->in_channels()) + " channels.");
  }
  const NhwcLayout layout = with_pixels(stem_->output_layout(x.size(2), x.size(3)), "X", x.dims);
  Ort::UnownedValue pooled =
      make_output(context, 1, {x.dims[0], static_cast<std::int64_t>(stem_->out_channels())});
  stem_->run(x.value.GetTensorData<float>(), x.size(0), x.size(2), x.size(3),
             make_frames(context, 0, x.dims[0], layout), pooled.GetTensorMutableData<float>(),
             on_session_threads(context, recording), *workspaces_);
}

StemOperator::StemOperator(const char* name, bool quantized, bool infers_shapes)
    : SchemaOperator(name), name_(name), quantized_(quantized) {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const auto* const stem = static_cast<const StemOperator*>(self);
      return as_status(stem->name_, [&] { infer_shapes(context, stem->quantized_); });
    };
  }
}

OrtStatusPtr StemOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                          void** kernel) const {
  return as_status(name_, [&] { *kernel = new StemKernel(name_, info, quantized_); });
}

}  // namespace adafuse
