// One run of an NhwcConv: channels that each frame reads and computes, and the cut into tasks.
#pragma once

#include <array>
#include <cstddef>

#include "base/recorder.h"
#include "base/workspace.h"
#include "layout/compact_nhwc.h"
#include "microkernels/igemm_nhwc/compact_input.h"
#include "microkernels/igemm_nhwc/loop_nest.h"
#include "microkernels/winograd/winograd.h"
#include "operators/cut.h"
#include "operators/nhwc_conv.h"

namespace adafuse {

// The lists of a run, whose capacity is kept for the next one.
struct NhwcConvLists {
  CompactNhwc output;
  std::array<CompactNhwc, kMaxSources> inputs;
  std::array<CompactInputs, kMaxSources> reads;        // of compact terms
  std::array<KIndirection, kMaxSources> indirections;  // of other terms
  WinogradFrames winograd;
};

// Large frames are cut into strips of rows, small ones into panels of output channels, as in
// ResidualPlan.
class NhwcConvRun {
 public:
  // Orders channels and finds what every frame reads.  `recording` is null where nobody records.
  NhwcConvRun(const NhwcConv& conv, std::size_t frames, std::size_t height, std::size_t width,
              const NhwcConvTensors& tensors, const ParallelFor& parallel_for,
              Workspaces& workspaces, const NodeRecording* recording);

  void run();

 private:
  void add_winograd_inputs();
  void add_inputs();
  void run_strips();
  void run_panels();
  void run_winograd_panels();
  void reduce_means();
  // Computes panels of some rows of a frame; partial sums of means go to `total`.
  void convolve_panels(std::size_t frame, ImageRows rows, PanelRange panels, float* total,
                       Arena& scratch) const;
  // One panel of whole frames [first, last), whose Winograd tiles are transformed.
  void convolve_frames(std::size_t first, std::size_t last, std::size_t panel,
                       Arena& scratch) const;
  // Memory of a task: panels of rows, or a panel of `whole_frames` whose tiles are transformed.
  ArenaSize task_size(std::size_t panels, std::size_t rows, std::size_t whole_frames) const;

  ConvTarget target(std::size_t frame, PanelRange panels, float* total, Arena& scratch) const;
  // A term's packed B for the channels that a frame reads and computes.
  BPanels weights(std::size_t term, std::size_t frame, PanelRange panels, Arena& scratch) const;
  BPanels pack_chosen_n(std::size_t term, std::size_t frame, PanelRange panels,
                        Arena& scratch) const;
  // Whether chosen outputs are packed into rows of single channels, from which inputs are chosen,
  // and the bytes of such rows of a panel.
  bool splits(const NhwcConv::Term& term) const;
  std::size_t channel_rows_bytes(const NhwcConv::Term& term) const;
  // Panels that hold channels which a frame computes.
  std::size_t panels_of(std::size_t frame) const;
  const char* source_data(std::size_t source, std::size_t frame) const;
  float* partials(std::size_t frame, std::size_t part) const {
    return partials_ + (frame * parts_ + part) * partials_pitch_;
  }

  const NhwcConv& conv_;
  const IgemmKernel& kernel_;
  const std::size_t frames_;
  const NhwcConvTensors& tensors_;
  const ParallelFor& parallel_for_;
  Workspaces& workspaces_;
  const NodeRecording* const recording_;
  const std::size_t panels_;
  const std::size_t partials_pitch_;
  std::size_t step_, parts_;  // rows of a part are multiples of a step
  bool by_panels_;
  const ListPool::Lease<NhwcConvLists> lists_;
  CompactNhwc& output_;
  std::array<CompactNhwc, kMaxSources>& inputs_;
  std::array<CompactInputs, kMaxSources>& reads_;
  std::array<KIndirection, kMaxSources>& indirections_;
  WinogradFrames& winograd_;
  std::array<InputShape, kMaxSources> shapes_;
  float* partials_ = nullptr;
};

}  // namespace adafuse
