#include "operators/residual_block.h"

#include <algorithm>
#include <stdexcept>

#include "microkernels/winograd/winograd.h"
#include "operators/residual_run.h"

namespace adafuse {
namespace {

const ConvWeights& last(const ResidualBlockSpec& spec) {
  return spec.conv3 ? *spec.conv3 : spec.conv2;
}

float last_input_scale(const ResidualBlockSpec& spec) {
  return spec.conv3 ? spec.scales.conv2 : spec.scales.conv1;
}

bool by_winograd(const ResidualBlockSpec& spec, const IgemmKernel& kernel, const ConvWeights& conv,
                 std::size_t stride) {
  return spec.winograd && kernel.precision == Precision::kFloat32 && conv.taps == 9 && stride == 1;
}

std::size_t conv2_stride(const ResidualBlockSpec& spec) {
  return spec.conv3 ? spec.stride : 1;
}

// Weights packed as `Packed`, transformed to 36 points where `winograd`.
template <typename Packed, typename... Arguments>
Packed pack(bool winograd, const IgemmKernel& kernel, const ConvWeights& conv,
            const Arguments&... arguments) {
  return winograd ? Packed(kernel, WinogradWeights(conv).conv(), arguments...)
                  : Packed(kernel, conv, arguments...);
}

void require(bool condition, const char* rule) {
  if (!condition) {
    throw std::invalid_argument(rule);
  }
}

// Returns the specification if its parts fit each other, before anything is packed.
const ResidualBlockSpec& validated(const ResidualBlockSpec& spec) {
  const std::size_t inputs = spec.conv1.inputs, middle = spec.conv1.outputs;
  const std::size_t one = spec.conv3 ? 1 : 9;
  require(spec.conv1.taps == one && spec.conv2.taps == 9,
          "a bottleneck has kernels of 1x1, 3x3 and 1x1, a basic block two of 3x3");
  require(inputs > 0 && middle > 0 && spec.conv2.outputs > 0 && last(spec).outputs > 0,
          "every convolution must have inputs and outputs");
  require(spec.conv2.inputs == middle, "conv2 must read what conv1 gives");
  require(spec.stride >= 1, "the stride must be positive");
  require(spec.shift.from_next <= inputs && spec.shift.from_previous <= inputs &&
              spec.shift.from_next + spec.shift.from_previous <= inputs,
          "shift_next and shift_previous are more channels than the input has");
  if (spec.conv3) {
    require(spec.conv3->taps == 1 && spec.conv3->inputs == spec.conv2.outputs,
            "conv3 must be 1x1 and read what conv2 gives");
  }
  if (spec.shortcut) {
    require(spec.shortcut->taps == 1 && spec.shortcut->inputs == inputs &&
                spec.shortcut->outputs == last(spec).outputs,
            "the shortcut must be 1x1 from the input's channels to the output's");
  } else {
    require(spec.stride == 1 && inputs == last(spec).outputs,
            "an identity shortcut needs equal channels and stride 1");
  }
  return spec;
}

void run_plan(const ResidualPlan& plan, const ResidualBlockTensors& tensors, const Policy* policy,
              const ResidualBlockHistory* history, const ParallelFor& parallel_for,
              Workspaces& workspaces, const NodeRecording* recording) {
  ResidualStages stages(plan, tensors, policy, history, workspaces, recording);
  if (plan.by_panels) {
    run_panels(stages, parallel_for);
  } else {
    run_strips(stages, parallel_for);
  }
}

}  // namespace

ResidualBlock::ResidualBlock(const ResidualBlockSpec& spec, const IgemmKernel& kernel)
    : kernel_(kernel),
      in_channels_(validated(spec).conv1.inputs),
      mid_channels_(spec.conv1.outputs),
      conv2_channels_(spec.conv2.outputs),
      out_channels_(spec.conv3 ? spec.conv3->outputs : spec.conv2.outputs),
      stride_(spec.stride),
      shift_(spec.shift),
      shortcut_shift_(spec.shift_shortcut ? spec.shift : TemporalShift{}),
      winograd1_(by_winograd(spec, kernel, spec.conv1, spec.stride)),
      winograd2_(by_winograd(spec, kernel, spec.conv2, conv2_stride(spec))),
      conv1_(pack<PackedBForChosenN>(winograd1_, kernel, spec.conv1, spec.shift)),
      conv2_(pack<PackedBForChosenK>(winograd2_, kernel, spec.conv2)),
      scales_(spec.scales),
      epilogue1_(kernel, spec.conv1, scales_.input, scales_.conv1),
      epilogue2_(kernel, spec.conv2, scales_.conv1, scales_.conv2),
      last_epilogue_(kernel, spec.shortcut ? *spec.shortcut : last(spec),
                     spec.shortcut ? scales_.input : last_input_scale(spec), scales_.output) {
  if (spec.conv3) {
    conv3_.emplace(kernel, *spec.conv3, TemporalShift{});
  }
  if (spec.shortcut) {
    shortcut_.emplace(kernel, *spec.shortcut, shortcut_shift_);
  }
  if (spec.shortcut) {
    const EpilogueConstants path(kernel, last(spec), last_input_scale(spec), scales_.output);
    last_epilogue_.add_bias(path);
    rescale_.reserve(round_up(out_channels_, kernel.nr));
    std::fill_n(rescale_.data(), round_up(out_channels_, kernel.nr), 0.0f);
    for (std::size_t i = 0; i < out_channels_; ++i) {
      rescale_.data()[i] = path.scale(i) / last_epilogue_.scale(i);
    }
  }
}

NhwcLayout ResidualBlock::input_layout(std::size_t height, std::size_t width) const {
  return {height, width, border(), channel_pitch(in_channels_, kernel_.precision)};
}

NhwcLayout ResidualBlock::output_layout(std::size_t height, std::size_t width) const {
  const auto strided = [&](std::size_t size) { return (size + stride_ - 1) / stride_; };
  return {strided(height), strided(width), border(),
          channel_pitch(out_channels_, kernel_.precision)};
}

NhwcLayout ResidualBlock::history_layout(std::size_t height, std::size_t width) const {
  const NhwcLayout plane =
      is_bottleneck() ? input_layout(height, width) : output_layout(height, width);
  return {plane.height, plane.width, 1, history_pitch(mid_channels_, kernel_.precision)};
}

void ResidualBlock::run(std::size_t clips, std::size_t frames, std::size_t height,
                        std::size_t width, const ResidualBlockTensors& tensors,
                        const Policy* policy, const ParallelFor& parallel_for,
                        Workspaces& workspaces, const NodeRecording* recording) const {
  if (checked_product({clips, frames, height, width}) > 0) {
    const ListPool::Lease<ResidualLists> lists(workspaces.lists);
    const ResidualPlan plan(*this, clips * frames, frames, height, width, policy, nullptr, *lists);
    run_plan(plan, tensors, policy, nullptr, parallel_for, workspaces, recording);
  }
}

void ResidualBlock::run_streams(std::size_t streams, std::size_t height, std::size_t width,
                                const ResidualBlockTensors& tensors,
                                const ResidualBlockHistory& history, const Policy& policy,
                                const ParallelFor& parallel_for, Workspaces& workspaces,
                                const NodeRecording* recording) const {
  require(shift_.from_next + shift_.from_previous == 0, "streams need blocks without shift");
  if (checked_product({streams, height, width}) > 0) {
    const ListPool::Lease<ResidualLists> lists(workspaces.lists);
    const ResidualPlan plan(*this, streams, 1, height, width, &policy, history.missing, *lists);
    run_plan(plan, tensors, &policy, &history, parallel_for, workspaces, recording);
  }
}

}  // namespace adafuse
