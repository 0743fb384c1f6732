#include "operators/nhwc_conv_run.h"

#include <algorithm>
#include <vector>

namespace adafuse {

namespace {

// K groups behind the last one that packing writes to, as it writes whole cache lines.
constexpr std::size_t kPackedBehind = kLine / kGroupBytes;

// Writes a panel's rows of K groups as rows of single input channels, as PackedBForChosenK has
// them.
template <typename Value>
void split_k_groups(const std::uint32_t* k_groups, std::size_t taps, std::size_t inputs,
                    std::size_t width, char* to) {
  constexpr std::size_t kKr = kGroupBytes / sizeof(Value);
  Value* rows = reinterpret_cast<Value*>(to);
  for (std::size_t tap = 0; tap < taps; ++tap) {
    for (std::size_t input = 0; input < inputs; ++input) {
      const std::uint32_t* const from =
          k_groups + (tap * ceil_div(inputs, kKr) + input / kKr) * width;
      const unsigned shift = input % kKr * 8 * sizeof(Value);
      for (std::size_t i = 0; i < width; ++i) {
        rows[i] = static_cast<Value>(from[i] >> shift);
      }
      rows += width;
    }
  }
  std::fill_n(rows, width, Value{0});
}

}  // namespace

NhwcConvRun::NhwcConvRun(const NhwcConv& conv, std::size_t frames, std::size_t height,
                         std::size_t width, const NhwcConvTensors& tensors,
                         const ParallelFor& parallel_for, Workspaces& workspaces,
                         const NodeRecording* recording)
    : conv_(conv),
      kernel_(conv.kernel_),
      frames_(frames),
      tensors_(tensors),
      parallel_for_(parallel_for),
      workspaces_(workspaces),
      recording_(recording),
      panels_(ceil_div(conv.outputs_, kernel_.nr)),
      // A cache line between partial sums that different threads write.
      partials_pitch_(panels_ * kernel_.nr + kLine / sizeof(float)),
      lists_(workspaces.lists),
      output_((*lists_).output),
      inputs_((*lists_).inputs),
      reads_((*lists_).reads),
      indirections_((*lists_).indirections),
      winograd_((*lists_).winograd) {
  output_.assign(tensors.policy, frames, conv.outputs_, conv.output_layout(height, width));
  std::vector<CompactNhwc*> all{&output_};
  for (std::size_t i = 0; i < conv.sources_.size(); ++i) {
    inputs_[i].assign(tensors.sources[i].policy, frames, conv.sources_[i].channels,
                      conv.input_layout(i, height, width));
    all.push_back(&inputs_[i]);
  }
  CompactNhwc::order(all, kernel_.precision, parallel_for);
  for (std::size_t i = 0; i < conv.sources_.size(); ++i) {
    shapes_[i] = {inputs_[i].layout(), conv.sources_[i].channels, conv.size_, conv.stride_};
  }
  const NhwcLayout& layout = output_.layout();
  step_ = conv.winograd_ ? kWinogradOutput : 1;
  by_panels_ = layout.height * layout.width < kSmallPlane;
  parts_ = by_panels_ ? 1
                      : std::clamp(ceil_div(kEnoughTasks, frames), std::size_t{1},
                                   ceil_div(layout.height, step_));
  if (conv.winograd_) {
    add_winograd_inputs();
  } else {
    add_inputs();
  }
}

void NhwcConvRun::run() {
  const std::size_t partials = frames_ * parts_ * partials_pitch_;
  const NhwcLayout& layout = output_.layout();
  const std::size_t tile_bytes =
      conv_.winograd_ && by_panels_ ? winograd_.plan(kernel_, layout.height, layout.width) : 0;
  std::array<std::size_t, kMaxSources> merged_bytes{};
  ArenaSize size;
  size.add<float>(partials);
  size.add_bytes(tile_bytes);
  for (std::size_t i = 0; !conv_.winograd_ && i < conv_.terms_.size(); ++i) {
    merged_bytes[i] = conv_.terms_[i].compact ? reads_[i].plan(kernel_) : 0;
    size.add_bytes(merged_bytes[i]);
  }
  Arena memory(workspaces_.runs, size);
  partials_ = memory.take<float>(partials);
  char* const tiles = memory.take_bytes(tile_bytes);
  for (std::size_t i = 0; !conv_.winograd_ && i < conv_.terms_.size(); ++i) {
    char* const merged = memory.take_bytes(merged_bytes[i]);
    if (conv_.terms_[i].compact) {
      reads_[i].finish(kernel_, merged, recorded_as(Span::kPack, parallel_for_, recording_));
    }
  }
  if (!by_panels_) {
    run_strips();
  } else if (!conv_.winograd_) {
    run_panels();
  } else {
    winograd_.transform(tiles, recorded_as(Span::kConv, parallel_for_, recording_));
    run_winograd_panels();
  }
  reduce_means();
}

const char* NhwcConvRun::source_data(std::size_t source, std::size_t frame) const {
  return tensors_.sources[source].frames + inputs_[source].offset(frame);
}

void NhwcConvRun::add_winograd_inputs() {
  winograd_.resize(frames_);
  parallel_for_(frames_, [&](std::size_t frame) {
    WinogradInput& reads = winograd_.reads(frame);
    reads.clear();
    for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
      const CompactNhwc& input = inputs_[i];
      if (conv_.sources_[i].compact) {
        reads.add(source_data(i, frame), shapes_[i], input[frame], input.previous(frame), kernel_);
      } else {
        reads.add(source_data(i, frame), shapes_[i], {}, {false, false}, kernel_);
      }
    }
  });
}

void NhwcConvRun::add_inputs() {
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    CompactInputs& reads = reads_[i];
    if (!conv_.terms_[i].compact) {
      indirections_[i].assign(shapes_[i], kernel_, TemporalShift{}, {false, false});
      continue;
    }
    reads.reset(frames_, conv_.merges_);
    for (std::size_t frame = 0; frame < frames_; ++frame) {
      for (std::size_t k = i; k < (conv_.merges_ ? conv_.sources_.size() : i + 1); ++k) {
        const InputShape& shape = shapes_[k];
        const CompactNhwc& input = inputs_[k];
        reads.add(frame, {source_data(k, frame), shape, input[frame], input.previous(frame),
                          -static_cast<std::ptrdiff_t>(shape.layout.frame_pitch())});
      }
    }
  }
}

std::size_t NhwcConvRun::panels_of(std::size_t frame) const {
  return ceil_div(output_[frame].size(), kernel_.nr);
}

// Packed B of the stored outputs: a row per K group of a dense source, or per channel of a compact
// one.
BPanels NhwcConvRun::pack_chosen_n(std::size_t index, std::size_t frame, PanelRange panels,
                                   Arena& scratch) const {
  const NhwcConv::Term& term = conv_.terms_[index];
  const PackedBForChosenN& weights = *term.chosen_n;
  const ChannelOrder& outputs = output_[frame];
  const std::size_t nr = kernel_.nr;
  const std::size_t groups = weights.k_groups() * nr;
  std::uint32_t* const packed =
      scratch.take<std::uint32_t>(panels.count() * groups + kPackedBehind * nr);
  const std::size_t mark = scratch.mark();
  const std::uint32_t** const chosen = scratch.take<const std::uint32_t*>(nr);
  for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
    const std::size_t first = panel * nr;
    const std::size_t count = std::min(nr, outputs.size() - first);
    for (std::size_t i = 0; i < nr; ++i) {
      chosen[i] = i < count ? weights.row(outputs[first + i]) : weights.zeros();
    }
    kernel_.pack_chosen_n(chosen, count, weights.depth(), packed + (panel - panels.begin) * groups);
  }
  scratch.rewind(mark);
  if (!splits(term)) {
    return {reinterpret_cast<const char*>(packed), groups * kGroupBytes, panels.begin, panels.end};
  }
  const auto split = kernel_.precision == Precision::kInt8 ? split_k_groups<std::uint8_t>
                                                           : split_k_groups<std::uint16_t>;
  const std::size_t bytes = channel_rows_bytes(term);
  char* const rows = scratch.take_bytes(panels.count() * bytes);
  for (std::size_t panel = panels.begin; panel < panels.end; ++panel) {
    split(packed + (panel - panels.begin) * groups, conv_.size_ * conv_.size_, term.channels, nr,
          rows + (panel - panels.begin) * bytes);
  }
  return {rows, bytes, panels.begin, panels.end};
}

bool NhwcConvRun::splits(const NhwcConv::Term& term) const {
  return term.compact && kr(kernel_.precision) > 1;
}

std::size_t NhwcConvRun::channel_rows_bytes(const NhwcConv::Term& term) const {
  return (conv_.size_ * conv_.size_ * term.channels + 1) * kernel_.b_channel_row_bytes();
}

BPanels NhwcConvRun::weights(std::size_t index, std::size_t frame, PanelRange panels,
                             Arena& scratch) const {
  const NhwcConv::Term& term = conv_.terms_[index];
  const BPanels packed = conv_.compact_ ? pack_chosen_n(index, frame, panels, scratch)
                         : term.compact ? term.chosen_k->panels()
                                        : term.dense->panels();
  return term.compact && !conv_.winograd_
             ? reads_[index].read_panels(frame, kernel_, packed, panels.begin, panels.end, scratch)
             : packed;
}

ArenaSize NhwcConvRun::task_size(std::size_t panels, std::size_t rows,
                                 std::size_t whole_frames) const {
  ArenaSize size;
  const std::size_t nr = kernel_.nr;
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    const NhwcConv::Term& term = conv_.terms_[i];
    if (conv_.compact_) {
      size.add<std::uint32_t>(panels * term.chosen_n->k_groups() * nr + kPackedBehind * nr);
      size.add_bytes(splits(term) ? panels * channel_rows_bytes(term) : 0);
    }
    if (term.compact && !conv_.winograd_) {
      size.add_bytes(reads_[i].read_panels_bytes(kernel_, panels));
    }
  }
  if (conv_.compact_) {
    size.add<const std::uint32_t*>(nr);
    size.add<float>(panels_ * nr);
    size.add<float>(panels_ * nr);
  }
  const NhwcLayout& layout = output_.layout();
  std::size_t winograd = whole_frames > 0 ? winograd_.scratch_bytes(whole_frames) : 0;
  for (std::size_t frame = 0; conv_.winograd_ && whole_frames == 0 && frame < frames_; ++frame) {
    winograd = std::max(winograd, winograd_scratch_bytes(kernel_, winograd_.reads(frame), rows,
                                                         layout.height, layout.width));
  }
  size.add_bytes(winograd);
  add_convolve(size, kernel_, rows, layout.width);
  return size;
}

ConvTarget NhwcConvRun::target(std::size_t frame, PanelRange panels, float* total,
                               Arena& scratch) const {
  const std::size_t nr = kernel_.nr;
  EpiloguePerChannel channels = conv_.epilogue_.channels();
  if (conv_.compact_) {
    const ChannelOrder& stored = output_[frame];
    float* const bias = scratch.take<float>(panels_ * nr);
    float* const scale = scratch.take<float>(panels_ * nr);
    for (std::size_t i = panels.begin * nr; i < panels.end * nr; ++i) {
      bias[i] = i < stored.size() ? conv_.epilogue_.bias(stored[i]) : 0.0f;
      scale[i] = i < stored.size() ? conv_.epilogue_.scale(stored[i]) : 0.0f;
    }
    channels = {bias, scale};
  }
  std::fill_n(total + panels.begin * nr, panels.count() * nr, 0.0f);
  return {tensors_.output + output_.offset(frame), output_.layout(), channels, nullptr, 1, total};
}

void NhwcConvRun::convolve_panels(std::size_t frame, ImageRows rows, PanelRange panels,
                                  float* total, Arena& scratch) const {
  const NhwcLayout& layout = output_.layout();
  if (panels.begin == 0) {
    layout.clear_border(tensors_.output + output_.offset(frame), rows.begin, rows.end);
  }
  panels.end = std::min(panels.end, panels_of(frame));
  if (panels.begin >= panels.end) {
    return;
  }
  SpanTimer timer(recording_, Span::kPack);
  const ConvTarget to = target(frame, panels, total, scratch);
  const std::size_t stored = output_[frame].size();
  BPanels packed[kMaxSources];
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    packed[i] = weights(i, frame, panels, scratch);
  }
  timer.next(Span::kConv);
  if (conv_.winograd_) {
    convolve_winograd(kernel_, winograd_.reads(frame), packed, to, true, rows, layout.height,
                      layout.width, stored, panels.begin, panels.end, scratch);
    return;
  }
  std::vector<ConvTerm> terms;
  terms.reserve(conv_.terms_.size());
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    terms.push_back(conv_.terms_[i].compact
                        ? reads_[i].source(frame, packed[i])
                        : ConvTerm{source_data(i, frame), shapes_[i], indirections_[i], packed[i]});
    terms.back().prefetches = conv_.size_ == 1;
  }
  convolve(kernel_, terms.data(), terms.size(), to, rows, stored, panels.begin, panels.end,
           scratch);
}

void NhwcConvRun::convolve_frames(std::size_t first, std::size_t last, std::size_t panel,
                                  Arena& scratch) const {
  const NhwcLayout& layout = output_.layout();
  const PanelRange one{panel, panel + 1};
  std::vector<WinogradFrame> frames;
  frames.reserve(last - first);
  BPanels packed[kMaxSources];
  SpanTimer timer(recording_, Span::kPack);
  for (std::size_t frame = first; frame < last; ++frame) {
    if (panel == 0) {
      layout.clear_border(tensors_.output + output_.offset(frame), 0, layout.height);
    }
    if (panel < panels_of(frame)) {
      for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
        packed[i] = weights(i, frame, one, scratch);
      }
      frames.push_back(
          winograd_.frame(frame, packed, target(frame, one, partials(frame, 0), scratch)));
    }
  }
  timer.next(Span::kConv);
  if (!frames.empty()) {
    // All store as many channels: under a policy of the output there is one frame.
    const std::size_t left = output_[first].size() - panel * kernel_.nr;
    convolve_winograd(frames.data(), frames.size(), true, panel, std::min(left, kernel_.nr),
                      scratch);
  }
}

void NhwcConvRun::run_panels() {
  const ImageRows whole{0, output_.layout().height};
  const ArenaSize size = task_size(1, whole.end, 0);
  // Tasks that follow each other read the same panel's weights.
  parallel_for_(panels_ * frames_, [&](std::size_t task) {
    const std::size_t frame = task % frames_, panel = task / frames_;
    Arena scratch(workspaces_.tasks, size);
    convolve_panels(frame, whole, {panel, panel + 1}, partials(frame, 0), scratch);
  });
}

void NhwcConvRun::run_winograd_panels() {
  const std::size_t chunks =
      conv_.compact_ ? frames_ : std::min(frames_, ceil_div(kEnoughTasks / 2, panels_));
  const ArenaSize size = task_size(1, 0, ceil_div(frames_, chunks));
  parallel_for_(panels_ * chunks, [&](std::size_t task) {
    const std::size_t panel = task / chunks, chunk = task % chunks;
    Arena scratch(workspaces_.tasks, size);
    convolve_frames(frames_ * chunk / chunks, frames_ * (chunk + 1) / chunks, panel, scratch);
  });
}

void NhwcConvRun::run_strips() {
  const std::size_t height = output_.layout().height;
  const ArenaSize size = task_size(panels_, most_rows(height, step_, parts_), 0);
  parallel_for_(frames_ * parts_, [&](std::size_t task) {
    const std::size_t frame = task / parts_, part = task % parts_;
    Arena scratch(workspaces_.tasks, size);
    convolve_panels(frame, rows_of_part(height, step_, part, parts_), {0, panels_},
                    partials(frame, part), scratch);
  });
}

void NhwcConvRun::reduce_means() {
  const NhwcLayout& layout = output_.layout();
  const float scale = conv_.output_scale_ / static_cast<float>(layout.height * layout.width);
  output_.fuse_means(
      [&](std::size_t frame, std::size_t place) {
        float total = 0;
        for (std::size_t part = 0; part < parts_; ++part) {
          total += partials(frame, part)[place];
        }
        return total * scale;
      },
      tensors_.pooled);
}

}  // namespace adafuse
