#include "operators/residual_stages.h"

#include <algorithm>
#include <vector>

#include "operators/cut.h"

namespace adafuse {

ResidualStages::ResidualStages(const ResidualPlan& plan, const ResidualBlockTensors& tensors,
                               const Policy* policy, const ResidualBlockHistory* history,
                               Workspaces& workspaces, const NodeRecording* recording)
    : plan_(plan),
      tensors_(tensors),
      history_(history),
      workspaces_(workspaces),
      recording_(recording),
      x_(tensors.input) {
  // In place: a shortcut convolution reads neighbouring frames when the output is already being
  // written.
  const bool copies = has_shortcut() && tensors.input == tensors.output;
  const std::size_t input_bytes = copies ? plan.frames * plan.conv1.layout.frame_pitch() : 0;
  const std::size_t mid_bytes = plan.streams() ? 0 : plan.frames * plan.mid_bytes + kLine;
  const std::size_t z_bytes =
      plan.by_panels && has_conv3() ? plan.frames * plan.conv3.layout.frame_pitch() + kLine : 0;
  const std::size_t partials = plan.slots * plan.frames * plan.partials_pitch;
  ArenaSize size;
  for (const std::size_t bytes : {input_bytes, mid_bytes, z_bytes}) {
    size.add_bytes(bytes);
  }
  size.add<float>(partials);
  memory_.emplace(workspaces.runs, size);
  char* const input = memory_->take_bytes(input_bytes);
  char* const mid = memory_->take_bytes(mid_bytes);
  z_ = memory_->take_bytes(z_bytes);
  partials_ = memory_->take<float>(partials);
  if (copies) {
    std::copy_n(tensors.input, input_bytes, input);
    x_ = input;
  }
  mid_ = plan.streams() ? history->next_convolution : mid;
  if (plan.streams()) {
    reused_.emplace(plan, *history);
    write_states(*policy, history->next_missing);
  }

  plan_.lists.conv2_reads.reset(plan.frames, plan.kernel.k_block > 1);
  plan_.lists.conv2_winograd.resize(plan.frames);
  for (std::size_t frame = 0; frame < plan.frames; ++frame) {
    const InputShape& shape = plan.conv2_inputs[frame];
    const auto [lent, distance] = plan.lent(frame);
    if (winograd2()) {
      WinogradInput& reads = plan_.lists.conv2_winograd.reads(frame);
      reads.clear();
      reads.add(this->mid(frame), shape, plan.orders[frame], lent, distance, plan.kernel);
    } else {
      plan_.lists.conv2_reads.add(frame,
                                  {this->mid(frame), shape, plan.orders[frame], lent, distance});
    }
  }
  plan_.lists.conv1_winograd.resize(winograd1() ? plan.conv1_frames() : 0);
  for (std::size_t frame = 0; winograd1() && frame < plan.conv1_frames(); ++frame) {
    WinogradInput& reads = plan.lists.conv1_winograd.reads(frame);
    reads.clear();
    if (plan.orders[frame].computed() > 0) {
      reads.add(conv1_input(frame), plan.conv1, plan.block.shift_,
                plan.neighbours(frame % plan.frames), plan.kernel);
    }
  }

  const auto tile_bytes = [&](bool winograd, WinogradFrames& frames, const NhwcLayout& layout) {
    return plan.by_panels && winograd ? frames.plan(plan.kernel, layout.height, layout.width) : 0;
  };
  const std::size_t conv1_bytes =
      tile_bytes(winograd1(), plan_.lists.conv1_winograd, plan.conv2.layout);
  const std::size_t conv2_bytes = tile_bytes(winograd2(), plan_.lists.conv2_winograd, plan.output);
  const std::size_t merged_bytes = winograd2() ? 0 : plan_.lists.conv2_reads.plan(plan.kernel);
  ArenaSize input_size;
  for (const std::size_t bytes : {conv1_bytes, conv2_bytes, merged_bytes}) {
    input_size.add_bytes(bytes);
  }
  input_memory_.emplace(workspaces.runs, input_size);
  conv1_tiles_ = input_memory_->take_bytes(conv1_bytes);
  conv2_tiles_ = input_memory_->take_bytes(conv2_bytes);
  merged_ = input_memory_->take_bytes(merged_bytes);
}

const char* ResidualStages::conv1_input(std::size_t conv1_frame) const {
  return plan_.is_deferred(conv1_frame)
             ? history_->input + (conv1_frame - plan_.frames) * plan_.conv1.layout.frame_pitch()
             : x(conv1_frame);
}

char* ResidualStages::conv1_output(std::size_t conv1_frame) const {
  const std::size_t frame = conv1_frame % plan_.frames;
  const std::size_t own = plan_.orders[frame].size();
  return mid(frame) +
         (plan_.is_deferred(conv1_frame) ? reused_offset(own, plan_.kernel.precision) : 0);
}

void ResidualStages::conv1(std::size_t conv1_frame, ImageRows rows, PanelRange panels,
                           Arena& scratch) const {
  const bool deferred = plan_.is_deferred(conv1_frame);
  const std::size_t count = plan_.conv1_panels(conv1_frame);
  if (panels.begin == 0 && !deferred) {
    plan_.conv2_inputs[conv1_frame].layout.clear_border(mid(conv1_frame), rows.begin, rows.end);
  }
  if (panels.begin < std::min(panels.end, count)) {
    compute_conv1(conv1_frame, rows, {panels.begin, std::min(panels.end, count)}, scratch);
  }
  // Copied after the last panel, which writes whole vectors, also over the place behind its
  // channels.
  const std::size_t last = count == 0 ? 0 : count - 1;
  if (deferred && panels.begin <= last && last < panels.end) {
    reused_->copy(conv1_frame - plan_.frames, rows, conv1_output(conv1_frame));
  }
}

void ResidualStages::add_conv1(ArenaSize& size, std::size_t rows, std::size_t panels) const {
  const IgemmKernel& kernel = plan_.kernel;
  const NhwcLayout& layout = plan_.conv2.layout;
  const std::size_t all = round_up(plan_.block.mid_channels_, kernel.nr);
  // Packing writes whole cache lines of K groups.
  size.add<std::uint32_t>(panels * plan_.block.conv1_.k_groups() * kernel.nr +
                          kLine / kGroupBytes * kernel.nr);
  size.add<float>(all);
  size.add<float>(all);
  size.add<const std::uint32_t*>(kernel.nr);
  if (!winograd1()) {
    add_convolve(size, kernel, rows, layout.width);
  } else if (plan_.by_panels) {
    size.add_bytes(plan_.lists.conv1_winograd.scratch_bytes(1));
  } else {
    std::size_t most = 0;
    for (std::size_t frame = 0; frame < plan_.conv1_frames(); ++frame) {
      most = std::max(most, winograd_scratch_bytes(kernel, plan_.lists.conv1_winograd.reads(frame),
                                                   rows, layout.height, layout.width));
    }
    size.add_bytes(most);
  }
}

void ResidualStages::transform_conv1_input(const ParallelFor& parallel_for) {
  if (winograd1()) {
    plan_.lists.conv1_winograd.transform(conv1_tiles_,
                                         recorded_as(Span::kConv1, parallel_for, recording_));
  }
}

void ResidualStages::compute_conv1(std::size_t conv1_frame, ImageRows rows, PanelRange panels,
                                   Arena& scratch) const {
  const IgemmKernel& kernel = plan_.kernel;
  const std::size_t mark = scratch.mark(), nr = kernel.nr;
  SpanTimer timer(recording_, Span::kPack);
  const std::size_t frame = conv1_frame % plan_.frames;
  const ChannelOrder& channels = plan_.orders[conv1_frame];
  const std::size_t computed = channels.computed();
  const PackedBForChosenN& weights = plan_.block.conv1_;
  const EpilogueConstants& epilogue = plan_.block.epilogue1_;
  const std::size_t panel_groups = weights.k_groups() * nr;
  std::uint32_t* const packed =
      scratch.take<std::uint32_t>(panels.count() * panel_groups + kLine / kGroupBytes * nr);
  float* const bias = scratch.take<float>(panels.end * nr);
  float* const scale = scratch.take<float>(panels.end * nr);
  const std::uint32_t** const chosen = scratch.take<const std::uint32_t*>(nr);
  for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
    const std::size_t first = panel * nr;
    const std::size_t count = std::min(nr, computed - first);
    for (std::size_t i = 0; i < nr; ++i) {
      const bool used = i < count;
      chosen[i] = used ? weights.row(channels[first + i]) : weights.zeros();
      bias[first + i] = used ? epilogue.bias(channels[first + i]) : 0.0f;
      scale[first + i] = used ? epilogue.scale(channels[first + i]) : 0.0f;
    }
    kernel.pack_chosen_n(chosen, count, weights.depth(),
                         packed + (panel - panels.begin) * panel_groups);
  }
  timer.next(Span::kConv1);
  const BPanels b{reinterpret_cast<const char*>(packed), panel_groups * kGroupBytes, panels.begin,
                  panels.end};
  const ConvTarget target{
      conv1_output(conv1_frame), plan_.conv2_inputs[frame].layout, {bias, scale}};
  if (!winograd1()) {
    const ConvTerm term{conv1_input(conv1_frame), plan_.conv1, plan_.conv1_entries(frame), b, 0,
                        plan_.conv1.kernel == 1};
    convolve(kernel, &term, 1, target, rows, computed, panels.begin, panels.end, scratch);
  } else if (plan_.by_panels) {
    const WinogradFrame whole = plan_.lists.conv1_winograd.frame(conv1_frame, &b, target);
    const std::size_t left = computed - panels.begin * nr;
    convolve_winograd(&whole, 1, true, panels.begin, std::min(left, nr), scratch);
  } else {
    convolve_winograd(kernel, plan_.lists.conv1_winograd.reads(conv1_frame), &b, target, true, rows,
                      plan_.conv2.layout.height, plan_.conv2.layout.width, computed, panels.begin,
                      panels.end, scratch);
  }
  scratch.rewind(mark);
}

void ResidualStages::finish_conv1(const ParallelFor& parallel_for) {
  if (!winograd2()) {
    plan_.lists.conv2_reads.finish(plan_.kernel, merged_,
                                   recorded_as(Span::kPack, parallel_for, recording_));
  } else if (plan_.by_panels) {
    plan_.lists.conv2_winograd.transform(conv2_tiles_,
                                         recorded_as(Span::kConv2, parallel_for, recording_));
  }
}

BPanels ResidualStages::pack_conv2(std::size_t frame, PanelRange panels, Arena& scratch) const {
  const SpanTimer timer(recording_, Span::kPack);
  const BPanels weights = plan_.block.conv2_.panels();
  return winograd2() ? weights
                     : plan_.lists.conv2_reads.read_panels(frame, plan_.kernel, weights,
                                                           panels.begin, panels.end, scratch);
}

void ResidualStages::add_pack_conv2(ArenaSize& size, std::size_t panels) const {
  if (!winograd2()) {
    size.add_bytes(plan_.lists.conv2_reads.read_panels_bytes(plan_.kernel, panels));
  }
}

ConvTarget ResidualStages::z_target(char* z, std::size_t z_first_row) const {
  return {z,       plan_.conv3.layout, plan_.block.epilogue2_.channels(), nullptr, 1,
          nullptr, z_first_row};
}

void ResidualStages::conv2(std::size_t frame, const BPanels& weights, ImageRows rows,
                           PanelRange panels, char* z, std::size_t z_first_row,
                           Arena& scratch) const {
  const SpanTimer timer(recording_, Span::kConv2);
  const ConvTarget target = z_target(z, z_first_row);
  const std::size_t channels = plan_.block.conv2_channels_;
  if (winograd2()) {
    convolve_winograd(plan_.kernel, plan_.lists.conv2_winograd.reads(frame), &weights, target, true,
                      rows, plan_.output.height, plan_.output.width, channels, panels.begin,
                      panels.end, scratch);
    return;
  }
  const ConvTerm term = plan_.lists.conv2_reads.source(frame, weights);
  convolve(plan_.kernel, &term, 1, target, rows, channels, panels.begin, panels.end, scratch);
}

ConvTarget ResidualStages::output_target(std::size_t frame, float* partials) const {
  const ResidualBlockScales& scales = plan_.block.scales_;
  return {tensors_.output + frame * plan_.output.frame_pitch(),
          plan_.output,
          plan_.block.last_epilogue_.channels(),
          has_shortcut() ? nullptr : x(frame),
          scales.input / scales.output,
          partials};
}

ConvTarget ResidualStages::winograd_target(std::size_t frame, float* partials,
                                           Arena& scratch) const {
  ConvTarget target = output_target(frame, has_shortcut() ? nullptr : partials);
  if (has_shortcut()) {
    const std::size_t size = round_up(plan_.block.out_channels_, plan_.kernel.nr);
    float* const zeros = scratch.take<float>(size);
    std::fill_n(zeros, size, 0.0f);
    target.channels = {zeros, zeros};
  }
  return target;
}

ConvTerm ResidualStages::shortcut_term(std::size_t frame) const {
  return {x(frame), plan_.shortcut, plan_.shortcut_entries(frame), plan_.block.shortcut_->panels(),
          0,        false,          plan_.block.rescale_.data()};
}

void ResidualStages::conv3(std::size_t frame, ImageRows rows, PanelRange panels, const char* z,
                           std::size_t z_first_row, float* partials, Arena& scratch) const {
  const SpanTimer timer(recording_, Span::kConv3);
  const ConvTerm narrow{z, plan_.conv3, plan_.lists.conv3_entries, plan_.block.conv3_->panels(),
                        z_first_row};
  const ConvTerm terms[] = {narrow, has_shortcut() ? shortcut_term(frame) : narrow};
  convolve(plan_.kernel, terms, has_shortcut() ? 2 : 1, output_target(frame, partials), rows,
           plan_.block.out_channels_, panels.begin, panels.end, scratch);
}

void ResidualStages::last_conv2(std::size_t frame, const BPanels& weights, ImageRows rows,
                                PanelRange panels, float* partials, Arena& scratch) const {
  const SpanTimer timer(recording_, Span::kConv2);
  const std::size_t channels = plan_.block.out_channels_;
  if (winograd2()) {
    const std::size_t mark = scratch.mark();
    convolve_winograd(plan_.kernel, plan_.lists.conv2_winograd.reads(frame), &weights,
                      winograd_target(frame, partials, scratch), !has_shortcut(), rows,
                      plan_.output.height, plan_.output.width, channels, panels.begin, panels.end,
                      scratch);
    scratch.rewind(mark);
    add_shortcut(frame, rows, panels, partials, scratch);
    return;
  }
  const ConvTerm own = plan_.lists.conv2_reads.source(frame, weights);
  const ConvTerm terms[] = {own, has_shortcut() ? shortcut_term(frame) : own};
  convolve(plan_.kernel, terms, has_shortcut() ? 2 : 1, output_target(frame, partials), rows,
           channels, panels.begin, panels.end, scratch);
}

void ResidualStages::add_shortcut(std::size_t frame, ImageRows rows, PanelRange panels,
                                  float* partials, Arena& scratch) const {
  if (has_shortcut()) {
    ConvTarget target = output_target(frame, partials);
    target.residual = target.frame;
    const ConvTerm term = shortcut_term(frame);
    convolve(plan_.kernel, &term, 1, target, rows, plan_.block.out_channels_, panels.begin,
             panels.end, scratch);
  }
}

void ResidualStages::add_stage(ArenaSize& size, std::size_t rows) const {
  std::size_t winograd = 0;
  for (std::size_t frame = 0; winograd2() && !plan_.by_panels && frame < plan_.frames; ++frame) {
    winograd = std::max(
        winograd, winograd_scratch_bytes(plan_.kernel, plan_.lists.conv2_winograd.reads(frame),
                                         rows, plan_.output.height, plan_.output.width));
  }
  size.add<float>(round_up(plan_.block.out_channels_, plan_.kernel.nr));  // winograd_target()
  size.add_bytes(winograd);
  add_convolve(size, plan_.kernel, rows, plan_.output.width);
}

void ResidualStages::conv2_of_frames(std::size_t first, std::size_t last, std::size_t panel,
                                     Arena& scratch) const {
  const SpanTimer timer(recording_, Span::kConv2);
  const std::size_t mark = scratch.mark(), nr = plan_.kernel.nr;
  const BPanels weights = plan_.block.conv2_.panels();
  const std::size_t channels = plan_.block.conv2_channels_;
  std::vector<WinogradFrame> frames;
  frames.reserve(last - first);
  for (std::size_t frame = first; frame < last; ++frame) {
    const ConvTarget target =
        has_conv3() ? z_target(z(frame), 0) : winograd_target(frame, partials(0, frame), scratch);
    frames.push_back(plan_.lists.conv2_winograd.frame(frame, &weights, target));
  }
  convolve_winograd(frames.data(), frames.size(), has_conv3() || !has_shortcut(), panel,
                    std::min(channels - panel * nr, nr), scratch);
  scratch.rewind(mark);
}

void ResidualStages::add_conv2_of_frames(ArenaSize& size, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    size.add<float>(round_up(plan_.block.out_channels_, plan_.kernel.nr));  // winograd_target()
  }
  size.add_bytes(plan_.lists.conv2_winograd.scratch_bytes(count));
}

void ResidualStages::clear_output_border(std::size_t frame, ImageRows rows) const {
  plan_.output.clear_border(tensors_.output + frame * plan_.output.frame_pitch(), rows.begin,
                            rows.end);
}

void ResidualStages::reduce_means(std::size_t slots) const {
  const NhwcLayout& output = plan_.output;
  const std::size_t channels = plan_.block.out_channels_;
  const float scale = plan_.block.scales_.output / static_cast<float>(output.height * output.width);
  for (std::size_t frame = 0; frame < plan_.frames; ++frame) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      float total = 0;
      for (std::size_t slot = 0; slot < slots; ++slot) {
        total += partials(slot, frame)[channel];
      }
      tensors_.pooled[frame * channels + channel] = total * scale;
    }
  }
}

}  // namespace adafuse
