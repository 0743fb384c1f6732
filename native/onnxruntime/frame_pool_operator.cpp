#include "onnxruntime/frame_pool_operator.h"

#include <stdexcept>
#include <string>

#include "onnxruntime/constants.h"
#include "onnxruntime/frames.h"
#include "onnxruntime/parallel_for.h"
#include "onnxruntime/status.h"
#include "onnxruntime/tensors.h"

namespace adafuse {
namespace {

constexpr const char* kName = "FramePool";

void infer_shapes(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(0);
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  if (x.size() != 4 || !known(x[1]) || !known(x[2]) || !known(x[3]) ||
      (x[0].IsInt() && x[0].AsInt() < 0)) {
    return;
  }
  FramePool pool{};
  pool.stride = static_cast<std::size_t>(context.GetAttrInt("stride"));
  pool.pad = static_cast<std::size_t>(context.GetAttrInt("pad"));
  pool.ceil = context.GetAttrInt("ceil") != 0;
  const std::int64_t border = context.GetAttrInt("border");
  const std::int64_t input_border = context.GetAttrInt("input_border");
  const auto size = [&](std::int64_t input) {
    const auto inside = static_cast<std::size_t>(input - 2 * input_border);
    return static_cast<std::int64_t>(pool.output_size(inside)) + 2 * border;
  };
  const bool rows_are_named = !x[0].IsInt();
  const std::int64_t rows = rows_are_named ? -1 : x[0].AsInt();
  const char* name = rows_are_named ? x[0].AsSym() : "";
  set_output_shape(raw_context, 0, {rows, size(x[1].AsInt()), size(x[2].AsInt()), x[3].AsInt()},
                   name);
  set_output_shape(raw_context, 1, {rows, context.GetAttrInt("channels")}, name);
}

}  // namespace

FramePoolKernel::FramePoolKernel(const OrtKernelInfo* raw_info, bool quantized) {
  const Ort::ConstKernelInfo info(raw_info);
  const std::string mode = info.GetAttribute<std::string>("mode");
  if (mode != "max" && mode != "mean") {
    throw std::invalid_argument("the attribute mode is " + mode + " but must be max or mean.");
  }
  channels_ = read_count(info, "channels");
  pool_ = {mode == "max" ? FramePool::Kind::kMax : FramePool::Kind::kMean,
           read_count(info, "stride"),
           read_count(info, "pad"),
           read_count(info, "ceil") != 0,
           read_count(info, "input_border"),
           read_count(info, "border"),
           tile_kernels(read_precision(info)).front()};
  if (quantized) {
    const std::vector<float> scales = read_scales(info, 2);
    pool_.scales = {scales[0], scales[1]};
  }
  if (pool_.pad > 1 || pool_.stride < 1 || pool_.stride > 2) {
    throw std::invalid_argument("the stride must be 1 or 2 and the padding 0 or 1.");
  }
}

OrtStatusPtr FramePoolKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(kName, [&] { compute(Ort::KernelContext(context)); });
}

void FramePoolKernel::compute(const Ort::KernelContext& context) const {
  const NamedTensor x(context, 0, "X", 4);
  const std::size_t edges = 2 * pool_.input_border;
  const std::size_t pitch = channel_pitch(channels_, pool_.kernel->precision);
  if (x.size(1) <= edges || x.size(2) <= edges || x.size(3) != pitch / kUnit) {
    throw std::invalid_argument(x.description() + " must hold frames with " +
                                std::to_string(pool_.input_border) + " pixels of border and " +
                                std::to_string(pitch / kUnit) + " units per pixel.");
  }
  const std::size_t height = x.size(1) - edges, width = x.size(2) - edges;
  const auto input_policy = read_policy(context, 1, "input_policy", x, channels_);
  const auto policy = read_policy(context, 2, "policy", x, channels_);
  const FrameLayout output{pool_.output_size(height), pool_.output_size(width), pool_.border,
                           pitch};
  const Dims pooled_dims{x.dims[0], static_cast<std::int64_t>(channels_)};
  Ort::UnownedValue pooled = context.GetOutput(1, pooled_dims.data(), pooled_dims.size());
  pool_frames(pool_, x.size(0), height, width, channels_,
              {static_cast<const char*>(x.value.GetTensorRawData()),
               input_policy ? &*input_policy : nullptr, policy ? &*policy : nullptr,
               make_frames(context, 0, x.dims[0], output), pooled.GetTensorMutableData<float>()},
              [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
                parallel_for(context, count, body);
              });
}

FramePoolOperator::FramePoolOperator(const char* name, bool quantized, bool infers_shapes)
    : name_(name), quantized_(quantized) {
  OrtCustomOp::version = kApiVersion;
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* /*self*/,
                                         OrtShapeInferContext* context) {
      return as_status(kName, [&] { infer_shapes(context); });
    };
  }
}

OrtStatusPtr FramePoolOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                               void** kernel) const {
  return as_status(kName, [&] { *kernel = new FramePoolKernel(info, quantized_); });
}

}  // namespace adafuse
