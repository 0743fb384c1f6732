#include "ort/residual_operator.h"

#include <stdexcept>
#include <string>

#include "microkernels/winograd/winograd.h"
#include "ort/nhwc_tensors.h"
#include "ort/parallel_for.h"
#include "ort/status.h"
#include "ort/tensors.h"

namespace adafuse {
namespace {

// The border of the frames, in pixels.
std::size_t border_of(const ResidualSignature& signature) {
  return signature.convolutions == 2 ? 1 : 0;
}

void infer_shapes(const ResidualSignature& signature, OrtShapeInferContext* context) {
  const auto attributes = ResidualAttributes::read(Attributes(context), signature);
  const auto x = known_shape(context, ResidualSignature::kInput, 4);
  const auto last =
      known_shape(context, signature.weight(signature.convolutions - 1) + 1, 1);  // its biases
  if (!x || !last || last->dims[0] < 0) {
    return;
  }
  // The pitch follows from the weights, which are looked at when the kernel is made.
  const std::size_t pitch = x->size(3) * kGroupBytes, stride = attributes.stride;
  const NhwcLayout input = layout_of(x->dims, "X", border_of(signature), pitch);
  const NhwcLayout output{(input.height + stride - 1) / stride, (input.width + stride - 1) / stride,
                          input.border, channel_pitch(last->size(0), attributes.precision)};
  const char* const rows = x->rows_name.c_str();
  set_output_shape(context, 0, frame_dims(x->dims[0], output), rows);
  set_output_shape(context, 1, {x->dims[0], last->dims[0]}, rows);
}

}  // namespace

ResidualAttributes ResidualAttributes::read(const Attributes& attributes,
                                            const ResidualSignature& signature) {
  attributes.require_layout_version();
  const std::size_t most = signature.streams ? 0 : kMostSize;  // streams are not shifted
  const bool conv1_only = attributes.exists("conv1_shift_next");
  const char* const next = conv1_only ? "conv1_shift_next" : "shift_next";
  const char* const previous = conv1_only ? "conv1_shift_previous" : "shift_previous";
  ResidualAttributes result{attributes.count("frames", 1, signature.streams ? 1 : kMostSize),
                            attributes.count("stride", 1, kMostStride),
                            {attributes.count(next, 0, most), attributes.count(previous, 0, most)},
                            !conv1_only,
                            attributes.flag_if_any("winograd"),
                            attributes.precision(signature.quantized),
                            {}};
  if (signature.quantized) {
    result.scales = attributes.scales(signature.convolutions + 1);
  }
  return result;
}

ResidualKernel::ResidualKernel(const ResidualSignature& signature, const OrtKernelInfo* raw_info)
    : node_(Ort::ConstKernelInfo(raw_info).GetNodeName()), signature_(signature) {
  const Ort::ConstKernelInfo info(raw_info);
  const auto attributes = ResidualAttributes::read(Attributes(raw_info), signature);
  frames_ = attributes.frames;
  const auto plane =
      declared_plane(info, ResidualSignature::kInput, border_of(signature), attributes.stride);
  const bool pays = plane && winograd_pays(plane->height, plane->width);
  std::vector<ConstantConv> convolutions;
  for (std::size_t i = 0; i < signature.convolutions; ++i) {
    convolutions.push_back(
        read_needed_conv(info, signature.weight(i), std::to_string(i + 1), signature.quantized));
  }
  if (attributes.precision == Precision::kFloat32) {
    for (std::size_t i = 0; i < signature.convolutions; ++i) {
      add_constant(weights_, info, signature.weight(i));
    }
    add_constant(weights_, info, signature.shortcut_weight());
  }
  const auto shortcut = read_conv(info, signature.shortcut_weight(), "S", signature.quantized);
  ResidualBlockSpec spec{convolutions[0].weights,
                         convolutions[1].weights,
                         std::nullopt,
                         std::nullopt,
                         attributes.stride,
                         attributes.shift,
                         {},
                         attributes.winograd.value_or(pays),
                         attributes.shift_shortcut};
  if (convolutions.size() > 2) {
    spec.conv3 = convolutions[2].weights;
  }
  if (shortcut) {
    spec.shortcut = shortcut->weights;
  }
  if (signature.quantized) {
    const std::vector<float>& scales = attributes.scales;
    spec.scales = {scales[0], scales[1], scales[scales.size() - 2], scales.back()};
  }
  block_ =
      std::make_unique<const ResidualBlock>(spec, *igemm_kernels(attributes.precision).front());
}

OrtStatusPtr ResidualKernel::ComputeV2(OrtKernelContext* context) const {
  return as_status(signature_.name, [&] {
    const NodeRecording recording(node_);
    compute(Ort::KernelContext(context), recording.get());
  });
}

void ResidualKernel::compute(const Ort::KernelContext& context,
                             const NodeRecording* recording) const {
  weights_.move_some();
  const NamedTensor x(context, ResidualSignature::kInput, "X", 4);
  const NhwcLayout input =
      layout_of(x.dims, x.name, block_->border(), block_->input_layout(1, 1).pitch);
  if (x.size(0) % frames_ != 0) {
    throw std::invalid_argument(x.description() + " must hold clips of " + std::to_string(frames_) +
                                " frames.");
  }
  const auto policy =
      read_policy(context, signature_.policy(), "policy", x, block_->mid_channels());
  if (policy && policy->frames_per_clip() != frames_) {
    throw std::invalid_argument("policy has clips of " + std::to_string(policy->frames_per_clip()) +
                                " frames, not of " + std::to_string(frames_) + ".");
  }
  const NhwcLayout output = block_->output_layout(input.height, input.width);
  if (signature_.streams) {
    check_history(context, x, input, policy);
  }
  Ort::UnownedValue pooled =
      make_output(context, 1, {x.dims[0], static_cast<std::int64_t>(block_->out_channels())});
  const ResidualBlockTensors tensors{static_cast<const char*>(x.value.GetTensorRawData()),
                                     make_frames(context, 0, x.dims[0], output),
                                     pooled.GetTensorMutableData<float>()};
  if (signature_.streams) {
    run_streams(context, x, input, tensors, *policy, recording);
  } else {
    block_->run(x.size(0) / frames_, frames_, input.height, input.width, tensors,
                policy ? &*policy : nullptr, on_session_threads(context, recording), *workspaces_,
                recording);
  }
}

void ResidualKernel::check_history(const Ort::KernelContext& context, const NamedTensor& x,
                                   const NhwcLayout& input,
                                   const std::optional<Policy>& policy) const {
  const NamedTensor previous(context, signature_.previous(), "X_previous", 4);
  const NamedTensor previous_r(context, signature_.previous() + 1, "R_previous", 4);
  const NamedTensor missing(context, signature_.missing(), "missing", 2);
  const Dims history = frame_dims(x.dims[0], block_->history_layout(input.height, input.width));
  const Dims channels{x.dims[0], static_cast<std::int64_t>(block_->mid_channels())};
  require(previous.dims == x.dims, previous, x, "both are frames of the same streams");
  require(previous_r.dims == history, previous_r, x,
          "one frame per stream, with room for every channel of conv1");
  require(missing.dims == channels, missing, x, "one entry per stream and channel of conv1");
  if (!policy) {
    throw std::invalid_argument("policy is missing.");
  }
}

void ResidualKernel::run_streams(const Ort::KernelContext& context, const NamedTensor& x,
                                 const NhwcLayout& input, const ResidualBlockTensors& tensors,
                                 const Policy& policy, const NodeRecording* recording) const {
  const auto frames = [&](std::size_t index) {
    return static_cast<const char*>(context.GetInput(index).GetTensorRawData());
  };
  char* const next =
      make_frames(context, 2, x.dims[0], block_->history_layout(input.height, input.width));
  Ort::UnownedValue next_missing =
      make_output(context, ResidualSignature::kNextMissing,
                  {x.dims[0], static_cast<std::int64_t>(block_->mid_channels())});
  block_->run_streams(x.size(0), input.height, input.width, tensors,
                      {frames(signature_.previous()), frames(signature_.previous() + 1),
                       context.GetInput(signature_.missing()).GetTensorData<std::int32_t>(), next,
                       next_missing.GetTensorMutableData<std::int32_t>()},
                      policy, on_session_threads(context, recording), *workspaces_, recording);
}

ResidualOperator::ResidualOperator(const ResidualSignature& signature, bool infers_shapes)
    : SchemaOperator(signature.name), signature_(signature) {
  if (!signature.streams) {  // the X of a stream is X_previous of its next frame
    // Y may take the place of X: where the sizes are equal this spares a third of the memory
    // traffic.
    OrtCustomOp::GetMayInplace = [](int** input, int** output) -> std::size_t {
      *input = new int(ResidualSignature::kInput);
      *output = new int(0);
      return 1;
    };
    OrtCustomOp::ReleaseMayInplace = [](int* input, int* output) {
      delete input;
      delete output;
    };
  }
  if (infers_shapes) {
    OrtCustomOp::InferOutputShapeFn = [](const OrtCustomOp* self, OrtShapeInferContext* context) {
      const ResidualSignature& signature = static_cast<const ResidualOperator*>(self)->signature_;
      return as_status(signature.name, [&] { infer_shapes(signature, context); });
    };
  }
}

OrtStatusPtr ResidualOperator::CreateKernelV2(const OrtApi& /*api*/, const OrtKernelInfo* info,
                                              void** kernel) const {
  return as_status(signature_.name, [&] { *kernel = new ResidualKernel(signature_, info); });
}

}  // namespace adafuse
