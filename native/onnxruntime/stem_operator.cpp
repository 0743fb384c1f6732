#include "onnxruntime/stem_operator.h"

#include <algorithm>
#include <stdexcept>

#include "onnxruntime/constants.h"
#include "onnxruntime/frames.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

constexpr const char* kName = "Stem";

void infer_shapes(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(0);
  const Ort::ShapeInferContext::Shape& weight = context.GetInputShape(1);
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  if (x.size() != 4 || weight.size() != 4 || !known(weight[0]) ||
      !std::all_of(x.begin() + 1, x.end(), known) || (x[0].IsInt() && x[0].AsInt() < 0)) {
    return;
  }
  const std::int64_t stride = context.GetAttrInt("stride"), border = context.GetAttrInt("border");
  const StemPool pool{static_cast<std::size_t>(context.GetAttrInt("pool_pad")),
                      context.GetAttrInt("pool_ceil") != 0};
  const auto size = [&](std::int64_t input) {
    const auto convolved = static_cast<std::size_t>((input + stride - 1) / stride);
    return static_cast<std::int64_t>(pool.output_size(convolved)) + 2 * border;
  };
  const bool rows_are_named = !x[0].IsInt();
  const std::int64_t rows = rows_are_named ? -1 : x[0].AsInt();
  const char* name = rows_are_named ? x[0].AsSym() : "";
  const std::int64_t channels = weight[0].AsInt();
  const Precision precision = read_precision(raw_context);
  set_output_shape(raw_context, 0,
                   {rows, size(x[2].AsInt()), size(x[3].AsInt()),
                    units_per_pixel(static_cast<std::size_t>(channels), precision)},
                   name);
  set_output_shape(raw_context, 1, {rows, channels}, name);
}

}  // namespace

StemKernel::StemKernel(const OrtKernelInfo* raw_info, bool quantized) {
  const Ort::ConstKernelInfo info(raw_info);
  const auto conv = read_conv(info, 1, "", quantized);
  if (!conv) {
    throw std::invalid_argument("weights, biases or scales are missing.");
  }
  StemScales scales;
  if (quantized) {
    const std::vector<float> values = read_scales(info, 2);
    scales = {values[0], values[1]};
  }
  const StemPool pool{read_count(info, "pool_pad"), read_count(info, "pool_ceil") != 0};
  stem_ = std::make_unique<const Stem>(conv->weights, read_count(info, "stride"), pool,
                                       read_count(info, "border"),
                                       *tile_kernels(read_precision(info)).front(), scales);
}

OrtStatusPtr StemKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(kName, [&] { compute(Ort::KernelContext(context)); });
}

void StemKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, 0, "X", 4);
  if (x.size(1) != stem_->in_channels()) {
    throw std::invalid_argument(x.description() + " must have " +
                                std::to_string(stem_->in_channels()) + " channels.");
  }
  const FrameLayout layout = stem_->output_layout(x.size(2), x.size(3));
  const Dims pooled_dims{x.dims[0], static_cast<std::int64_t>(stem_->out_channels())};
  Ort::UnownedValue pooled = context.GetOutput(1, pooled_dims.data(), pooled_dims.size());
  stem_->run(x.value.GetTensorData<float>(), x.size(0), x.size(2), x.size(3),
             make_frames(context, 0, x.dims[0], layout), pooled.GetTensorMutableData<float>(),
             [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
               parallel_for(context, count, body);
             });
}

StemOperator::StemOperator(const char* name, bool quantized, bool infers_shapes)
    : name_(name), quantized_(quantized) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* /*self*/,
                                         OrtShapeInferContext* context) {
      return as_status(kName, [&] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr StemOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                          void** kernel) const {
  return as_status(kName, [&] { *kernel = new StemKernel(info, quantized_); });
}

}  // namespace adafuse
