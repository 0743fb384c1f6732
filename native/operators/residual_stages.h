// The convolutions of a residual block for some rows and panels of a frame, in the memory of one
// run.
#pragma once

#include <cstddef>
#include <optional>

#include "base/recorder.h"
#include "base/workspace.h"
#include "microkernels/igemm_nhwc/compact_input.h"
#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/winograd.h"
#include "operators/cut.h"
#include "operators/residual_history.h"
#include "operators/residual_plan.h"

namespace adafuse {

class ResidualStages {
 public:
  // Leases the run's memory and writes what streams leave to the next frame beside conv1's result.
  // `history` is null for clips, and `recording` where nobody records.
  ResidualStages(const ResidualPlan& plan, const ResidualBlockTensors& tensors,
                 const Policy* policy, const ResidualBlockHistory* history, Workspaces& workspaces,
                 const NodeRecording* recording);

  const ResidualPlan& plan() const { return plan_; }
  Workspaces& workspaces() const { return workspaces_; }
  const NodeRecording* recording() const { return recording_; }
  bool has_conv3() const { return plan_.block.is_bottleneck(); }
  bool has_shortcut() const { return plan_.block.shortcut_.has_value(); }
  // Panels of conv2 and of the last convolution.
  std::size_t conv2_panels() const { return plan_.block.conv2_.count(); }
  std::size_t output_panels() const {
    return has_conv3() ? plan_.block.conv3_->count() : conv2_panels();
  }
  bool winograd1() const { return plan_.block.winograd1_; }
  bool winograd2() const { return plan_.block.winograd2_; }

  // Partial sums of a frame's means: one slot per task that adds to them.
  float* partials(std::size_t slot, std::size_t frame) const {
    return partials_ + (slot * plan_.frames + frame) * plan_.partials_pitch;
  }
  // Conv2's result of a bottleneck that is cut into panels.
  char* z(std::size_t frame) const { return z_ + frame * plan_.conv3.layout.frame_pitch(); }

  // Conv1 for rows of a conv1 frame, with the border around them; panels beyond those that the
  // frame computes are left.  Of streams the last panel brings the reused channels behind what it
  // computes.
  void conv1(std::size_t conv1_frame, ImageRows rows, PanelRange panels, Arena& scratch) const;
  // Adds the memory that conv1() takes from `scratch`.
  void add_conv1(ArenaSize& size, std::size_t rows, std::size_t panels) const;
  // Transforms conv1's input where conv1 runs by panels with Winograd; it then takes whole frames.
  void transform_conv1_input(const ParallelFor& parallel_for);

  // Prepares conv2's input after conv1 has run on all frames: K indirections, merged frames,
  // Winograd tiles.
  void finish_conv1(const ParallelFor& parallel_for);

  // Packed B of conv2 for the channels that a frame reads, in a piece of `scratch`.
  BPanels pack_conv2(std::size_t frame, PanelRange panels, Arena& scratch) const;
  // Adds the memory that pack_conv2() takes from `scratch`.
  void add_pack_conv2(ArenaSize& size, std::size_t panels) const;

  // A bottleneck's conv2 for rows of a frame: to `z`, which begins with row `z_first_row`.
  void conv2(std::size_t frame, const BPanels& weights, ImageRows rows, PanelRange panels, char* z,
             std::size_t z_first_row, Arena& scratch) const;
  // A bottleneck's conv3 and shortcut, from `z` to the output.
  void conv3(std::size_t frame, ImageRows rows, PanelRange panels, const char* z,
             std::size_t z_first_row, float* partials, Arena& scratch) const;
  // Rows of conv2 by Winograd whose tiles fit into cache.
  std::size_t winograd_rows(std::size_t frame) const {
    return winograd_strip(plan_.lists.conv2_winograd.reads(frame), plan_.output.width);
  }
  // A basic block's conv2 and shortcut to the output.
  void last_conv2(std::size_t frame, const BPanels& weights, ImageRows rows, PanelRange panels,
                  float* partials, Arena& scratch) const;
  // Adds the memory that conv2(), conv3(), last_conv2() and add_shortcut() take from `scratch` for
  // `rows` rows.
  void add_stage(ArenaSize& size, std::size_t rows) const;

  // One panel of conv2 by Winograd for frames [first, last): to z, or of a basic block to the
  // output, where add_shortcut() comes after it.
  void conv2_of_frames(std::size_t first, std::size_t last, std::size_t panel,
                       Arena& scratch) const;
  // Adds the memory that conv2_of_frames() takes from `scratch` for `count` frames.
  void add_conv2_of_frames(ArenaSize& size, std::size_t count) const;
  // Adds a shortcut convolution to the values in the output, then applies ReLU.
  void add_shortcut(std::size_t frame, ImageRows rows, PanelRange panels, float* partials,
                    Arena& scratch) const;

  void clear_output_border(std::size_t frame, ImageRows rows) const;
  // Adds up the partial sums of so many slots.
  void reduce_means(std::size_t slots) const;

 private:
  const char* x(std::size_t frame) const { return x_ + frame * plan_.conv1.layout.frame_pitch(); }
  char* mid(std::size_t frame) const { return mid_ + frame * plan_.mid_bytes; }
  const char* conv1_input(std::size_t conv1_frame) const;
  // The address of conv1's result for a conv1 frame.
  char* conv1_output(std::size_t conv1_frame) const;
  void compute_conv1(std::size_t conv1_frame, ImageRows rows, PanelRange panels,
                     Arena& scratch) const;

  ConvTarget z_target(char* z, std::size_t z_first_row) const;
  ConvTarget output_target(std::size_t frame, float* partials) const;
  // The target of a basic block's conv2 by Winograd: add_shortcut() completes it.
  ConvTarget winograd_target(std::size_t frame, float* partials, Arena& scratch) const;
  ConvTerm shortcut_term(std::size_t frame) const;

  const ResidualPlan& plan_;
  const ResidualBlockTensors& tensors_;
  const ResidualBlockHistory* const history_;
  Workspaces& workspaces_;
  const NodeRecording* const recording_;
  const char* x_;
  std::optional<Arena> memory_, input_memory_;  // input: transformed or merged
  char *mid_ = nullptr, *z_ = nullptr;
  char *conv1_tiles_ = nullptr, *conv2_tiles_ = nullptr, *merged_ = nullptr;
  float* partials_ = nullptr;
  std::optional<ReusedChannels> reused_;
};

}  // namespace adafuse
