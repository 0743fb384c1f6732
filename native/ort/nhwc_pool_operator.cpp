#include "ort/nhwc_pool_operator.h"

#include <stdexcept>
#include <string>

#include "ort/nhwc_tensors.h"
#include "ort/parallel_for.h"
#include "ort/status.h"

namespace adafuse {
namespace {

void infer_shapes(OrtShapeInferContext* context, bool quantized) {
  const auto attributes = NhwcPoolAttributes::read(Attributes(context), quantized);
  if (const auto x = known_shape(context, 0, 4)) {
    const char* const rows = x->rows_name.c_str();
    set_output_shape(context, 0, frame_dims(x->dims[0], attributes.output_layout(x->dims)), rows);
    set_output_shape(context, 1, {x->dims[0], static_cast<std::int64_t>(attributes.channels)},
                     rows);
  }
}

}  // namespace

NhwcPoolAttributes NhwcPoolAttributes::read(const Attributes& attributes, bool quantized) {
  attributes.require_layout_version();
  const std::string mode = attributes.text("mode");
  if (mode != "max" && mode != "mean") {
    throw std::invalid_argument("the attribute mode is " + mode + " but must be max or mean.");
  }
  NhwcPoolAttributes result{
      attributes.count("channels", 1),
      {mode == "max" ? NhwcPool::Kind::kMax : NhwcPool::Kind::kMean,
       attributes.count("stride", 1, 2), attributes.count("pad", 0, 1), attributes.flag("ceil"),
       attributes.count("input_border", 0, kMostBorder), attributes.count("border", 0, kMostBorder),
       igemm_kernels(attributes.precision(quantized)).front()}};
  if (quantized) {
    const std::vector<float> scales = attributes.scales(2);
    result.pool.scales = {scales[0], scales[1]};
  }
  return result;
}

NhwcLayout NhwcPoolAttributes::input_layout(const Dims& x) const {
  return layout_of(x, "X", pool.input_border, channel_pitch(channels, pool.kernel->precision));
}

NhwcLayout NhwcPoolAttributes::output_layout(const Dims& x) const {
  const NhwcLayout input = input_layout(x);
  return with_pixels(
      {pool.output_size(input.height), pool.output_size(input.width), pool.border, input.pitch},
      "X", x);
}

OrtStatusPtr NhwcPoolKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(name_, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void NhwcPoolKernel::compute(const Ort::KernelContext& context,
                             const NodeRecording* recording) const {
  const std::size_t channels = attributes_.channels;
  const NamedTensor x(context, 0, "X", 4);
  const NhwcLayout input = attributes_.input_layout(x.dims);
  const NhwcLayout output = attributes_.output_layout(x.dims);
  const auto input_policy = read_policy(context, 1, "input_policy", x, channels);
  const auto policy = read_policy(context, 2, "policy", x, channels);
  require_same_clips({{"input_policy", &input_policy}, {"policy", &policy}});
  Ort::UnownedValue pooled =
      make_output(context, 1, {x.dims[0], static_cast<std::int64_t>(channels)});
  pool_nhwc(attributes_.pool, x.size(0), input.height, input.width, channels,
            {static_cast<const char*>(x.value.GetTensorRawData()),
             input_policy ? &*input_policy : nullptr, policy ? &*policy : nullptr,
             make_frames(context, 0, x.dims[0], output), pooled.GetTensorMutableData<float>()},
            on_session_threads(context, recording), *workspaces_);
}

NhwcPoolOperator::NhwcPoolOperator(const char* name, bool quantized, bool infers_shapes)
    : SchemaOperator(name), name_(name), quantized_(quantized) {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const auto* const pool = static_cast<const NhwcPoolOperator*>(self);
      return as_status(pool->name_, [&] { infer_shapes(context, pool->quantized_); });
    };
  }
}

OrtStatusPtr NhwcPoolOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                              void** kernel) const {
  return as_status(name_, [&] { *kernel = new NhwcPoolKernel(name_, info, quantized_); });
}

}  // namespace adafuse
