// 3x3 pooling between NHWC frames, of the channels that policies leave to be computed.
//
// Values are not negative, so pooling commutes with keep, reuse and skip: a frame's stored channels
// are pooled where they lie.  Under a policy of its own, the output stores the channels that this
// computes, pooled from each frame as the input's policy shows it.
#pragma once

#include <cstddef>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/pool3x3/pool3x3.h"
#include "policy/channel_selection.h"

namespace adafuse {

// Kind and sizes of the pooling.
struct NhwcPool {
  enum class Kind { kMax, kMean };

  Kind kind;
  std::size_t stride;  // 1 or 2
  std::size_t pad;     // 0 or 1; a mean counts padding as zeros
  bool ceil;           // a last window may reach beyond the plane
  std::size_t input_border;
  std::size_t border;  // of the output
  const IgemmKernel* kernel;
  ActivationScales scales = {};

  std::size_t output_size(std::size_t input) const;
};

struct NhwcPoolTensors {
  const char* input;            // frames as CompactNhwc lays them out
  const Policy* policy;         // of the stored input, or null
  const Policy* output_policy;  // of the output; null: stored as the input is
  char* output;                 // (frames) frames
  float* pooled;                // (frames, channels): means as the next layer sees them
};

void pool_nhwc(const NhwcPool& pool, std::size_t frames, std::size_t height, std::size_t width,
               std::size_t channels, const NhwcPoolTensors& tensors,
               const ParallelFor& parallel_for, Workspaces& workspaces);

}  // namespace adafuse
