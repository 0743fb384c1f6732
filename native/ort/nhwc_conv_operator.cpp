#include "ort/nhwc_conv_operator.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "microkernels/winograd/winograd.h"
#include "ort/nhwc_tensors.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

std::string numbered(const char* name, std::size_t source) {
  return source == 0 ? name : name + std::to_string(source + 1);
}

void infer_shapes(const NhwcConvSignature& signature, OrtShapeInferContext* context) {
  const auto attributes = NhwcConvAttributes::read(Attributes(context), signature.quantized);
  const auto x = known_shape(context, NhwcConvSignature::kInput, 4);
  const auto bias = known_shape(context, NhwcConvSignature::kWeight + 1, 1);
  if (!x || !bias || bias->dims[0] < 0) {
    return;
  }
  const std::size_t pitch = channel_pitch(attributes.channels[0], attributes.precision);
  const NhwcLayout input = layout_of(x->dims, "X", attributes.input_border, pitch);
  const NhwcLayout output = attributes.output_layout(input, bias->size(0));
  const char* const rows = x->rows_name.c_str();
  set_output_shape(context, 0, frame_dims(x->dims[0], output), rows);
  set_output_shape(context, 1, {x->dims[0], bias->dims[0]}, rows);
}

}  // namespace

NhwcConvAttributes NhwcConvAttributes::read(const Attributes& attributes, bool quantized) {
  attributes.require_layout_version();
  NhwcConvAttributes result{{},
                            attributes.count("stride", 1, kMostStride),
                            attributes.count("input_border", 0, kMostBorder),
                            attributes.count("border", 0, kMostBorder),
                            attributes.flag_if_any("winograd"),
                            attributes.precision(quantized),
                            {}};
  for (const std::int64_t channels : attributes.integers("channels")) {
    if (channels < 1 || channels > static_cast<std::int64_t>(kMostSize)) {
      throw std::invalid_argument("the attribute channels holds " + std::to_string(channels) +
                                  " but must count channels.");
    }
    result.channels.push_back(static_cast<std::size_t>(channels));
  }
  if (result.channels.empty() || result.channels.size() > kMaxSources) {
    throw std::invalid_argument("the attribute channels needs a count for each input of frames.");
  }
  if (quantized) {
    const std::vector<float> scales = attributes.scales(2);
    result.scales = {scales[0], scales[1]};
  }
  return result;
}

NhwcLayout NhwcConvAttributes::output_layout(const NhwcLayout& input, std::size_t outputs) const {
  return {(input.height + stride - 1) / stride, (input.width + stride - 1) / stride, border,
          channel_pitch(outputs, precision)};
}

NhwcConvKernel::NhwcConvKernel(const NhwcConvSignature& signature, const OrtKernelInfo* raw_info)
    : node_(Ort::ConstKernelInfo(raw_info).GetNodeName()),
      signature_(signature),
      attributes_(NhwcConvAttributes::read(Attributes(raw_info), signature.quantized)) {
  const Ort::ConstKernelInfo info(raw_info);
  std::vector<NhwcSourceSpec> sources;
  for (std::size_t i = 0; i < kMaxSources; ++i) {
    if (is_given(info, signature.source_input(i)) != (i < attributes_.channels.size())) {
      throw std::invalid_argument("the attribute channels needs a count for each input of frames.");
    }
    if (i < attributes_.channels.size()) {
      sources.push_back({attributes_.channels[i], is_given(info, signature.source_policy(i))});
    }
  }
  const auto plane =
      declared_plane(info, NhwcConvSignature::kInput, attributes_.input_border, attributes_.stride);
  const bool pays = plane && winograd_pays(plane->height, plane->width);
  const ConstantConv conv =
      read_needed_conv(info, NhwcConvSignature::kWeight, "", signature.quantized);
  if (attributes_.precision == Precision::kFloat32) {
    add_constant(weights_, info, NhwcConvSignature::kWeight);
  }
  conv_ = std::make_unique<const NhwcConv>(
      NhwcConvSpec{conv.weights, sources, is_given(info, signature.policy()), attributes_.stride,
                   attributes_.input_border, attributes_.border,
                   attributes_.winograd.value_or(pays), attributes_.scales},
      *igemm_kernels(attributes_.precision).front());
}

OrtStatusPtr NhwcConvKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void NhwcConvKernel::compute(const Ort::KernelContext& context,
                             const NodeRecording* recording) const {
  weights_.move_some();
  const NamedTensor x(context, NhwcConvSignature::kInput, "X", 4);
  NhwcLayout input;
  std::optional<Policy> policies[kMaxSources];
  NhwcSource sources[kMaxSources];
  for (std::size_t i = 0; i < attributes_.channels.size(); ++i) {
    const NamedTensor frames(context, signature_.source_input(i), numbered("X", i), 4);
    input = layout_of(frames.dims, frames.name, attributes_.input_border,
                      channel_pitch(attributes_.channels[i], attributes_.precision));
    require(std::equal(x.dims.begin(), x.dims.begin() + 3, frames.dims.begin()), frames, x,
            "frames must have the same number and size");
    policies[i] = read_policy(context, signature_.source_policy(i),
                              numbered("input_policy", i).c_str(), x, attributes_.channels[i]);
    sources[i] = {static_cast<const char*>(frames.value.GetTensorRawData()),
                  policies[i] ? &*policies[i] : nullptr};
  }
  const std::size_t height = input.height, width = input.width;
  const auto policy = read_policy(context, signature_.policy(), "policy", x, conv_->outputs());
  std::vector<NamedPolicy> named{{"policy", &policy}};
  for (std::size_t i = 0; i < attributes_.channels.size(); ++i) {
    named.emplace_back(numbered("input_policy", i), &policies[i]);
  }
  require_same_clips(named);
  Ort::UnownedValue pooled =
      make_output(context, 1, {x.dims[0], static_cast<std::int64_t>(conv_->outputs())});
  conv_->run(x.size(0), height, width,
             {sources, policy ? &*policy : nullptr,
              make_frames(context, 0, x.dims[0], conv_->output_layout(height, width)),
              pooled.GetTensorMutableData<float>()},
             on_session_threads(context, recording), *workspaces_, recording);
}

NhwcConvOperator::NhwcConvOperator(const NhwcConvSignature& signature, bool infers_shapes)
    : SchemaOperator(signature.name), signature_(signature) {
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const NhwcConvSignature& signature = static_cast<const NhwcConvOperator*>(self)->signature_;
      return as_status(signature.name, [&] { infer_shapes(signature, context); });
    };
  }
}

OrtStatusPtr NhwcConvOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                              void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new NhwcConvKernel(signature_, info); });
}

}  // namespace adafuse
