// A residual block of a ResNet under a policy, fused: from NHWC frames to NHWC frames.
//
//   bottleneck:  conv1 1x1 -> fuse -> conv2 3x3 -> conv3 1x1 -> + shortcut -> ReLU
//   basic:       conv1 3x3 -> fuse -> conv2 3x3              -> + shortcut -> ReLU
//
// with ReLU behind conv1 and conv2.  `fuse` keeps a channel, takes the previous frame's or clears
// it, as a policy says: conv1 computes only the channels that are read, conv2 reads only those that
// are not cleared.  conv1 reads the temporally shifted input, and so does a shortcut convolution in
// AdaFuse's networks; in TSM's it reads the input as it is, as every identity shortcut does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/parallel_for.h"
#include "base/recorder.h"
#include "base/workspace.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "policy/channel_selection.h"

namespace adafuse {

// Scales of activations in kInt8: value = scale * stored integer; no value is negative.
struct ResidualBlockScales {
  float input = 1, conv1 = 1, conv2 = 1, output = 1;  // conv2: of a bottleneck
};

struct ResidualBlockSpec {
  ConvWeights conv1;
  ConvWeights conv2;
  std::optional<ConvWeights> conv3;     // a bottleneck has it, a basic block does not
  std::optional<ConvWeights> shortcut;  // 1x1; an identity otherwise
  std::size_t stride = 1;               // of the 3x3 convolution that comes first
  TemporalShift shift;
  ResidualBlockScales scales;
  bool winograd = false;       // 3x3 convolutions of stride 1 by Winograd, in kFloat32
  bool shift_shortcut = true;  // a shortcut convolution reads the shifted input
};

struct ResidualBlockTensors {
  const char* input;  // (frames) frames of the input layout
  char* output;       // (frames) frames of the output layout; the input itself if layouts are equal
  float* pooled;      // (frames, out_channels): means of the output over each frame
};

// State that streams hand from frame to frame; all zeros begin a stream.
struct ResidualBlockHistory {
  const char* input;            // (streams) the frames before, of the input layout
  const char* convolution;      // (streams) conv1's results for them, of the history layout
  const std::int32_t* missing;  // (streams, mid_channels): 0 where it holds a channel
  char* next_convolution;       // `convolution` and `missing` of the next frame
  std::int32_t* next_missing;
};

class ResidualBlock {
 public:
  // Packs the weights, which need not outlive the call unless they are lasting.  Throws
  // std::invalid_argument when they do not fit each other.
  ResidualBlock(const ResidualBlockSpec& spec, const IgemmKernel& kernel);

  bool is_bottleneck() const { return conv3_.has_value(); }
  bool has_identity() const { return !shortcut_.has_value(); }
  std::size_t in_channels() const { return in_channels_; }
  std::size_t mid_channels() const { return mid_channels_; }
  std::size_t out_channels() const { return out_channels_; }

  // A 3x3 convolution reads the zeros around its input, so basic blocks pass frames with a border.
  std::size_t border() const { return is_bottleneck() ? 0 : 1; }
  NhwcLayout input_layout(std::size_t height, std::size_t width) const;
  NhwcLayout output_layout(std::size_t height, std::size_t width) const;
  // Layout of conv1's result that a stream hands on: channels that are not missing, side by side,
  // and behind them those that the frame reused.  Pixels lie as close as these channels allow; the
  // layout has room for any number.
  NhwcLayout history_layout(std::size_t height, std::size_t width) const;

  // Runs `clips * frames` frames of height x width; `policy` (channels = mid_channels) may be null,
  // which keeps everything.  The result does not depend on how `parallel_for` spreads the work.
  // `recording`: where to say what took how long, or null.
  void run(std::size_t clips, std::size_t frames, std::size_t height, std::size_t width,
           const ResidualBlockTensors& tensors, const Policy* policy,
           const ParallelFor& parallel_for, Workspaces& workspaces,
           const NodeRecording* recording = nullptr) const;

  // Runs the next frame of every stream; needs a block without shift.  What is reused and missing
  // is computed from the previous input.
  void run_streams(std::size_t streams, std::size_t height, std::size_t width,
                   const ResidualBlockTensors& tensors, const ResidualBlockHistory& history,
                   const Policy& policy, const ParallelFor& parallel_for, Workspaces& workspaces,
                   const NodeRecording* recording = nullptr) const;

 private:
  friend class ResidualPlan;
  friend class ResidualStages;

  const IgemmKernel& kernel_;
  std::size_t in_channels_;
  std::size_t mid_channels_;
  std::size_t conv2_channels_;  // which pruning leaves different from mid_channels_
  std::size_t out_channels_;
  std::size_t stride_;
  TemporalShift shift_, shortcut_shift_;
  bool winograd1_, winograd2_;  // conv1 and conv2 are done by Winograd
  PackedBForChosenN conv1_;
  PackedBForChosenK conv2_;
  std::optional<PackedB> conv3_;
  std::optional<PackedB> shortcut_;
  ResidualBlockScales scales_;
  EpilogueConstants epilogue1_, epilogue2_, last_epilogue_;
  // Factors of the last convolution's accumulators that turn them into units of the shortcut's.
  AlignedArray<float> rescale_;
};

}  // namespace adafuse
