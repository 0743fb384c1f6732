#include "operators/nhwc_conv_run.h"

#include <algorithm>
#include <array>

#include "layout/compact_nhwc.h"
#include "microkernels/igemm_nhwc/compact_input.h"

namespace adafuse {

// What a run shares between threads, kept by the thread that runs it.
struct FrameConvScratch {
  CompactFrames output;
  std::array<CompactFrames, kMaxSources> inputs;
  std::array<InputShape, kMaxSources> shapes;
  std::array<CompactReads, kMaxSources> reads;  // of compact terms
  std::array<StepList, kMaxSources> steps;      // of others
  PatchedFrames patches;
  AlignedArray<float> sums;
};

namespace {

// Frames of fewer pixels are cut into panels of output channels, others into strips of rows.
constexpr std::size_t kSmallPlane = 400;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

// What a thread needs for one task.
struct TaskScratch {
  std::array<AlignedArray<std::uint32_t>, kMaxSources> panels, channels;
  AlignedArray<float> bias, scale;
  std::vector<const std::uint32_t*> gathered;
  std::vector<ConvSource> terms;
  std::vector<PixelTile> tiles;
  std::vector<PatchFrame> frames;
  PatchScratch patches;
};
thread_local FrameConvScratch own_scratch;
thread_local TaskScratch task_scratch;

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// A panel's units of several channels each as rows of one channel each, as ChannelWeights holds
// them.
template <typename Value>
void split_units(const std::uint32_t* units, std::size_t taps, std::size_t inputs,
                 std::size_t width, char* to) {
  constexpr std::size_t kGroup = kUnit / sizeof(Value);
  Value* rows = reinterpret_cast<Value*>(to);
  for (std::size_t tap = 0; tap < taps; ++tap) {
    for (std::size_t input = 0; input < inputs; ++input) {
      const std::uint32_t* const from =
          units + (tap * ceil_div(inputs, kGroup) + input / kGroup) * width;
      const unsigned shift = input % kGroup * 8 * sizeof(Value);
      for (std::size_t i = 0; i < width; ++i) {
        rows[i] = static_cast<Value>(from[i] >> shift);
      }
      rows += width;
    }
  }
  std::fill_n(rows, width, Value{0});
}

}  // namespace

FrameConvPass::FrameConvPass(const FrameConv& conv, std::size_t rows, std::size_t height,
                             std::size_t width, const FrameConvTensors& tensors,
                             const ParallelFor& parallel_for)
    : conv_(conv),
      kernel_(conv.kernel_),
      rows_(rows),
      height_(height),
      width_(width),
      tensors_(tensors),
      parallel_for_(parallel_for),
      scratch_(own_scratch),
      panels_(ceil_div(conv.outputs_, kernel_.panel_width())),
      // A cache line apart: threads write neighbouring ones.
      sums_pitch_(panels_ * kernel_.panel_width() + kLine / sizeof(float)) {}

void FrameConvPass::run() {
  prepare();
  const FrameLayout& layout = scratch_.output.layout();
  if (layout.height * layout.width < kSmallPlane) {
    run_panels();
  } else {
    run_strips();
  }
}

const char* FrameConvPass::frame(std::size_t source, std::size_t row) const {
  return tensors_.sources[source].frames + scratch_.inputs[source].offset(row);
}

void FrameConvPass::prepare() {
  scratch_.output.assign(tensors_.policy, rows_, conv_.outputs_,
                         conv_.output_layout(height_, width_));
  std::vector<CompactFrames*> all{&scratch_.output};
  for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
    scratch_.inputs[i].assign(tensors_.sources[i].policy, rows_, conv_.sources_[i].channels,
                              conv_.input_layout(i, height_, width_));
    all.push_back(&scratch_.inputs[i]);
  }
  CompactFrames::order(all, kernel_.precision, parallel_for_);
  for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
    scratch_.shapes[i] = {scratch_.inputs[i].layout(), conv_.sources_[i].channels, conv_.size_,
                          conv_.stride_};
  }
  if (conv_.winograd_) {
    prepare_patches();
  } else {
    prepare_reads();
  }
}

void FrameConvPass::prepare_patches() {
  scratch_.patches.resize(rows_);
  parallel_for_(rows_, [&](std::size_t row) {
    PatchReads& reads = scratch_.patches.reads(row);
    reads.clear();
    for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
      const CompactFrames& input = scratch_.inputs[i];
      if (conv_.sources_[i].compact) {
        reads.add(frame(i, row), scratch_.shapes[i], input[row], input.previous(row), kernel_);
      } else {
        reads.add(frame(i, row), scratch_.shapes[i], {}, {false, false}, kernel_);
      }
    }
  });
}

void FrameConvPass::prepare_reads() {
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    CompactReads& reads = scratch_.reads[i];
    if (!conv_.terms_[i].compact) {
      scratch_.steps[i].assign(scratch_.shapes[i], kernel_, TemporalShift{}, {false, false});
      continue;
    }
    reads.reset(rows_, conv_.gathers_);
    for (std::size_t row = 0; row < rows_; ++row) {
      for (std::size_t k = i; k < (conv_.gathers_ ? conv_.sources_.size() : i + 1); ++k) {
        const InputShape& shape = scratch_.shapes[k];
        const CompactFrames& input = scratch_.inputs[k];
        reads.add(row, {frame(k, row), shape, input[row], input.previous(row),
                        -static_cast<std::ptrdiff_t>(shape.layout.frame_pitch())});
      }
    }
    reads.finish(kernel_, parallel_for_);
  }
}

std::size_t FrameConvPass::panels_of(std::size_t row) const {
  return ceil_div(scratch_.output[row].size(), kernel_.panel_width());
}

// The weights of the stored outputs, a row per unit of a dense source or per channel of a compact
// one.
Panels FrameConvPass::gather(std::size_t index, std::size_t row, std::size_t begin,
                             std::size_t end) const {
  const FrameConv::Term& term = conv_.terms_[index];
  const OutputWeights& weights = *term.by_output;
  const CompactChannels& outputs = scratch_.output[row];
  const std::size_t width = kernel_.panel_width();
  const std::size_t units = weights.units() * width;
  // A gather writes whole cache lines of units.
  std::uint32_t* const panels =
      task_scratch.panels[index].reserve((end - begin) * units + kLine / kUnit * width);
  task_scratch.gathered.resize(width);
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t first = panel * width;
    const std::size_t count = std::min(width, outputs.size() - first);
    for (std::size_t i = 0; i < width; ++i) {
      task_scratch.gathered[i] = i < count ? weights.row(outputs[first + i]) : weights.zeros();
    }
    kernel_.gather(task_scratch.gathered.data(), count, weights.depth(),
                   panels + (panel - begin) * units);
  }
  if (!term.compact || per_unit(kernel_.precision) == 1) {
    return {reinterpret_cast<const char*>(panels), units * kUnit, begin, end};
  }
  const auto split = kernel_.precision == Precision::kInt8 ? split_units<std::uint8_t>
                                                           : split_units<std::uint16_t>;
  const std::size_t taps = conv_.size_ * conv_.size_;
  const std::size_t bytes = (taps * term.channels + 1) * kernel_.channel_row();
  char* const rows =
      reinterpret_cast<char*>(task_scratch.channels[index].reserve((end - begin) * bytes / kUnit));
  for (std::size_t panel = begin; panel < end; ++panel) {
    split(panels + (panel - begin) * units, taps, term.channels, width,
          rows + (panel - begin) * bytes);
  }
  return {rows, bytes, begin, end};
}

Panels FrameConvPass::weights(std::size_t index, std::size_t row, std::size_t begin,
                              std::size_t end) const {
  const FrameConv::Term& term = conv_.terms_[index];
  const Panels panels = conv_.compact_ ? gather(index, row, begin, end)
                        : term.compact ? term.by_input->panels()
                                       : term.all->panels();
  return term.compact && !conv_.winograd_
             ? scratch_.reads[index].read_panels(row, kernel_, panels, begin, end,
                                                 task_scratch.panels[index])
             : panels;
}

ConvTarget FrameConvPass::target(std::size_t row, std::size_t begin, std::size_t end,
                                 float* total) const {
  const std::size_t width = kernel_.panel_width();
  PerChannel channels = conv_.constants_.channels();
  if (conv_.compact_) {
    const CompactChannels& stored = scratch_.output[row];
    float* const bias = task_scratch.bias.reserve(panels_ * width);
    float* const scale = task_scratch.scale.reserve(panels_ * width);
    for (std::size_t i = begin * width; i < end * width; ++i) {
      bias[i] = i < stored.size() ? conv_.constants_.bias(stored[i]) : 0.0f;
      scale[i] = i < stored.size() ? conv_.constants_.scale(stored[i]) : 0.0f;
    }
    channels = {bias, scale};
  }
  std::fill_n(total + begin * width, (end - begin) * width, 0.0f);
  return {tensors_.output + scratch_.output.offset(row),
          scratch_.output.layout(),
          channels,
          nullptr,
          1,
          total};
}

void FrameConvPass::convolve_rows(std::size_t row, RowRange range, std::size_t begin,
                                  std::size_t end, float* total) const {
  const FrameLayout& layout = scratch_.output.layout();
  if (begin == 0) {
    layout.clear_border(tensors_.output + scratch_.output.offset(row), range.begin, range.end);
  }
  end = std::min(end, panels_of(row));
  if (begin >= end) {
    return;
  }
  const ConvTarget to = target(row, begin, end, total);
  const std::size_t stored = scratch_.output[row].size();
  if (conv_.winograd_) {
    Panels panels[kMaxSources];
    for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
      panels[i] = weights(i, row, begin, end);
    }
    convolve_patches(kernel_, scratch_.patches.reads(row), panels, to, true, range, layout.height,
                     layout.width, stored, begin, end, task_scratch.patches);
    return;
  }
  std::vector<ConvSource>& terms = task_scratch.terms;
  terms.clear();
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    const Panels panels = weights(i, row, begin, end);
    terms.push_back(conv_.terms_[i].compact
                        ? scratch_.reads[i].source(row, panels)
                        : ConvSource{frame(i, row), scratch_.shapes[i], scratch_.steps[i], panels});
    terms.back().prefetches = conv_.size_ == 1;
  }
  convolve(kernel_, terms.data(), terms.size(), to, range, stored, begin, end, task_scratch.tiles);
}

void FrameConvPass::convolve_frames(std::size_t first, std::size_t last, std::size_t panel) const {
  const FrameLayout& layout = scratch_.output.layout();
  const std::size_t width = kernel_.panel_width();
  std::vector<PatchFrame>& frames = task_scratch.frames;
  frames.clear();
  Panels panels[kMaxSources];
  for (std::size_t row = first; row < last; ++row) {
    if (panel == 0) {
      layout.clear_border(tensors_.output + scratch_.output.offset(row), 0, layout.height);
    }
    if (panel < panels_of(row)) {
      for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
        panels[i] = weights(i, row, panel, panel + 1);
      }
      frames.push_back(
          scratch_.patches.frame(row, panels, target(row, panel, panel + 1, sums(row, 0, 1))));
    }
  }
  if (!frames.empty()) {
    // Where rows store different channels, there is one row.
    const std::size_t left = scratch_.output[first].size() - panel * width;
    convolve_patches(frames.data(), frames.size(), true, panel, std::min(left, width),
                     task_scratch.patches);
  }
}

void FrameConvPass::run_panels() {
  sums_ = scratch_.sums.reserve(rows_ * sums_pitch_);
  const RowRange whole{0, scratch_.output.layout().height};
  if (!conv_.winograd_) {
    // Tasks that follow each other read the same panel's weights.
    parallel_for_(panels_ * rows_, [&](std::size_t task) {
      const std::size_t row = task % rows_, panel = task / rows_;
      convolve_rows(row, whole, panel, panel + 1, sums(row, 0, 1));
    });
  } else {
    scratch_.patches.transform(kernel_, whole.end, scratch_.output.layout().width, parallel_for_);
    const std::size_t chunks =
        conv_.compact_ ? rows_ : std::min(rows_, ceil_div(kEnoughTasks / 2, panels_));
    parallel_for_(panels_ * chunks, [&](std::size_t task) {
      const std::size_t panel = task / chunks, chunk = task % chunks;
      convolve_frames(rows_ * chunk / chunks, rows_ * (chunk + 1) / chunks, panel);
    });
  }
  pool(1);
}

void FrameConvPass::run_strips() {
  const std::size_t height = scratch_.output.layout().height;
  const std::size_t step = conv_.winograd_ ? kPatchStep : 1;
  const std::size_t steps = ceil_div(height, step);
  const std::size_t parts = std::clamp(ceil_div(kEnoughTasks, rows_), std::size_t{1}, steps);
  sums_ = scratch_.sums.reserve(rows_ * parts * sums_pitch_);
  parallel_for_(rows_ * parts, [&](std::size_t task) {
    const std::size_t row = task / parts, part = task % parts;
    const RowRange range{std::min(height, steps * part / parts * step),
                         std::min(height, steps * (part + 1) / parts * step)};
    convolve_rows(row, range, 0, panels_, sums(row, part, parts));
  });
  pool(parts);
}

void FrameConvPass::pool(std::size_t parts) {
  const FrameLayout& layout = scratch_.output.layout();
  const float scale = conv_.output_scale_ / static_cast<float>(layout.height * layout.width);
  scratch_.output.fuse_means(
      [&](std::size_t row, std::size_t place) {
        float total = 0;
        for (std::size_t part = 0; part < parts; ++part) {
          total += sums(row, part, parts)[place];
        }
        return total * scale;
      },
      tensors_.pooled);
}

}  // namespace adafuse
