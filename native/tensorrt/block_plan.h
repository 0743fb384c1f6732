// Launches of one residual block: kernels, grids, arguments and the workspace, as
// adafuse_deploy/ops/triton/block/plan.py has them (tests/vectors/block_plans.json).
//
// A pure function of shapes: everything but addresses is known before a frame arrives, and the host
// never learns what a policy says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorrt/block.h"
#include "tensorrt/kernel_table.h"

namespace adafuse::plugin {

// Inputs, outputs and the workspace of a block.
enum class Tensor {
  none,
  x,
  weight1,
  bias1,
  weight2,
  bias2,
  weight3,
  bias3,
  shortcut,
  gate_weight0,
  gate_bias0,
  gate_weight1,
  gate_bias1,
  x_sums,
  policy,
  y,
  sums,
  workspace
};

// The argument of a kernel's parameter: a number or an address.
struct Argument {
  Tensor tensor;       // none: a number
  std::int64_t value;  // the number (bits of a float), or the distance from the tensor in bytes
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

// Plans for `rows` frames, whole clips.  Throws std::runtime_error where the kernels that were
// compiled do not fit, or the frames are too many or too large.
LaunchPlan make_plan(const Block& block, std::int64_t rows);

}  // namespace adafuse::plugin
