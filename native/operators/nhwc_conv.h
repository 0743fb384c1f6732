// A convolution with bias and ReLU between NHWC frames, under policies of its input and output.
//
// Output channels that no frame reads are not computed, input channels that are zeros are not read.
// The input may lie in several tensors side by side, as a concatenation does.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/parallel_for.h"
#include "base/recorder.h"
#include "base/workspace.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "policy/channel_selection.h"

namespace adafuse {

// Some of the input's channels, in a tensor of their own.
struct NhwcSourceSpec {
  std::size_t channels;
  bool compact;  // stored under a policy
};

struct NhwcConvSpec {
  ConvWeights conv;  // 1x1 or 3x3, padded by half of that
  std::vector<NhwcSourceSpec> sources;
  bool compact;  // the output is stored under a policy
  std::size_t stride;
  std::size_t input_border;
  std::size_t border;     // of the output
  bool winograd = false;  // a 3x3 convolution of stride 1 by Winograd, in kFloat32
  ActivationScales scales = {};
};

struct NhwcSource {
  const char* frames;    // as CompactNhwc lays them out
  const Policy* policy;  // of a compact source, else null
};

struct NhwcConvTensors {
  const NhwcSource* sources;
  const Policy* policy;  // of a compact output, else null
  char* output;          // frames as CompactNhwc lays them out
  float* pooled;         // (frames, outputs): means over each frame as the next layer sees it
};

class NhwcConv {
 public:
  // Packs the weights, which need not outlive the call.  Throws std::invalid_argument when they do
  // not fit the sources.
  NhwcConv(const NhwcConvSpec& spec, const IgemmKernel& kernel);

  std::size_t outputs() const { return outputs_; }
  // Layouts of dense frames; the memory of these is enough for compact ones.
  NhwcLayout input_layout(std::size_t source, std::size_t height, std::size_t width) const;
  NhwcLayout output_layout(std::size_t height, std::size_t width) const;

  // Runs frames of height x width.  The result does not depend on how `parallel_for` spreads the
  // work.
  void run(std::size_t frames, std::size_t height, std::size_t width,
           const NhwcConvTensors& tensors, const ParallelFor& parallel_for, Workspaces& workspaces,
           const NodeRecording* recording = nullptr) const;

 private:
  // Packed B of a source, or of all sources if their channels are merged: for chosen outputs (N),
  // for chosen inputs (K), or for all channels.  One of the three has a value.
  struct Term {
    std::size_t channels;
    bool compact;
    std::optional<PackedB> dense;
    std::optional<PackedBForChosenK> chosen_k;
    std::optional<PackedBForChosenN> chosen_n;
  };

  friend class NhwcConvRun;

  const IgemmKernel& kernel_;
  std::size_t outputs_;
  std::size_t size_;  // of the kernel
  std::size_t stride_;
  std::size_t input_border_;
  std::size_t border_;
  bool compact_;
  bool winograd_;
  float output_scale_;
  EpilogueConstants epilogue_;
  std::vector<NhwcSourceSpec> sources_;
  bool merges_;
  std::vector<Term> terms_;
};

}  // namespace adafuse
