// Launches of one conditional convolution: kernels, grids, arguments and the workspace.
//
// A pure function of shapes: everything but addresses is known before a frame arrives.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorrt/kernel_table.h"

namespace adafuse::plugin {

enum class Layout { nchw, nhwc };

// A convolution over the frames of clips; numbers of elements, as in ONNX's Conv.
struct ConvProblem {
  bool half = false;  // float16 elements, else float32
  Layout layout = Layout::nchw;
  bool gated = false;     // obeys a policy over the outputs
  bool skipping = false;  // is told which inputs are zero
  bool packed = false;    // weights are in the kernels' order
  std::int64_t clips = 0, frames = 0;
  std::int64_t channels_in = 0, channels_out = 0;
  std::int64_t height = 0, width = 0;
  std::int64_t kernel_h = 0, kernel_w = 0, stride_h = 1, stride_w = 1;
  std::array<std::int64_t, 4> pads{};  // top, left, bottom, right

  std::int64_t rows() const { return clips * frames; }
  std::int64_t height_out() const { return (height + pads[0] + pads[2] - kernel_h) / stride_h + 1; }
  std::int64_t width_out() const { return (width + pads[1] + pads[3] - kernel_w) / stride_w + 1; }
  bool operator==(const ConvProblem& other) const;
};

// The addresses that a convolution is given.
enum class Tensor { none, x, weight, bias, policy, input_policy, y, workspace };

struct Argument {
  Tensor tensor;       // none: a number
  std::int64_t value;  // the number, or the distance from the tensor's beginning in bytes
};

struct Launch {
  const Kernel* kernel;
  std::array<unsigned, 3> grid;
  std::vector<Argument> arguments;  // as the kernel's parameters
};

struct LaunchPlan {
  std::vector<Launch> launches;  // in order
  std::size_t workspace_bytes = 0;
};

// Throws std::runtime_error where the convolution is too large for a grid or 32-bit distances.
LaunchPlan make_plan(const ConvProblem& problem);

}  // namespace adafuse::plugin
