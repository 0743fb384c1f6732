#include "onnxruntime/channels_last_operator.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/channels_last.h"
#include "onnxruntime/constants.h"
#include "onnxruntime/frames.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

constexpr const char* kName = "ChannelsLast";

void infer_shapes(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(0);
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  if (x.size() != 4 || !std::all_of(x.begin() + 1, x.end(), known)) {
    return;
  }
  const bool rows_are_named = !x[0].IsInt();
  if (!rows_are_named && x[0].AsInt() < 0) {
    return;
  }
  const std::int64_t edges = 2 * context.GetAttrInt("border");
  const std::int64_t rows = rows_are_named ? -1 : x[0].AsInt();
  const char* name = rows_are_named ? x[0].AsSym() : "";
  const std::size_t channels = static_cast<std::size_t>(x[1].AsInt());
  set_output_shape(raw_context, 0,
                   {rows, x[2].AsInt() + edges, x[3].AsInt() + edges,
                    units_per_pixel(channels, read_precision(raw_context))},
                   name);
  set_output_shape(raw_context, 1, {rows, x[1].AsInt()}, name);
}

}  // namespace

ChannelsLastKernel::ChannelsLastKernel(const OrtKernelInfo* info) {
  const std::int64_t border = Ort::ConstKernelInfo(info).GetAttribute<std::int64_t>("border");
  if (border < 0) {
    throw std::invalid_argument("the attribute border is negative.");
  }
  border_ = static_cast<std::size_t>(border);
  precision_ = read_precision(Ort::ConstKernelInfo(info));
  if (precision_ == Precision::kInt8) {
    scale_ = read_scales(Ort::ConstKernelInfo(info), 1).front();
  }
}

OrtStatusPtr ChannelsLastKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(kName, [&] { compute(Ort::KernelContext(context)); });
}

void ChannelsLastKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, 0, "X", 4);
  const FrameLayout layout{x.size(2), x.size(3), border_, channel_pitch(x.size(1), precision_)};
  const Dims pooled_dims{x.dims[0], x.dims[1]};
  Ort::UnownedValue pooled = context.GetOutput(1, pooled_dims.data(), pooled_dims.size());
  to_channels_last(x.value.GetTensorData<float>(), x.size(0), x.size(1), layout, precision_, scale_,
                   make_frames(context, 0, x.dims[0], layout), pooled.GetTensorMutableData<float>(),
                   [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
                     parallel_for(context, count, body);
                   });
}

ChannelsLastOperator::ChannelsLastOperator(bool infers_shapes) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* /*self*/,
                                         OrtShapeInferContext* context) {
      return as_status(kName, [&] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr ChannelsLastOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                                  void** kernel) const {
  return as_status(kName, [&] { *kernel = new ChannelsLastKernel(info); });
}

}  // namespace adafuse
