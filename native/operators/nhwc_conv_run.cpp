#include "operators/nhwc_conv_run.h"

#include <algorithm>
#include <array>

#include "layout/compact_nhwc.h"
#include "microkernels/igemm_nhwc/compact_input.h"

namespace adafuse {

// What a run shares between threads, kept by the thread that runs it.
struct NhwcConvScratch {
  CompactNhwc output;
  std::array<CompactNhwc, kMaxSources> inputs;
  std::array<InputShape, kMaxSources> shapes;
  std::array<CompactInputs, kMaxSources> reads;   // of compact terms
  std::array<KIndirection, kMaxSources> entries;  // of others
  WinogradFrames winograd;
  AlignedArray<float> partials;
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
  std::vector<const std::uint32_t*> chosen;
  std::vector<ConvTerm> terms;
  std::vector<OutputTile> tiles;
  std::vector<WinogradFrame> frames;
  WinogradScratch winograd;
};
thread_local NhwcConvScratch own_scratch;
thread_local TaskScratch task_scratch;

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// A panel's k_groups of several channels each as rows of one channel each, as PackedBForChosenK
// holds them.
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
                         const ParallelFor& parallel_for)
    : conv_(conv),
      kernel_(conv.kernel_),
      frames_(frames),
      height_(height),
      width_(width),
      tensors_(tensors),
      parallel_for_(parallel_for),
      scratch_(own_scratch),
      panels_(ceil_div(conv.outputs_, kernel_.nr)),
      // A cache line apart: threads write neighbouring ones.
      partials_pitch_(panels_ * kernel_.nr + kLine / sizeof(float)) {}

void NhwcConvRun::run() {
  prepare();
  const NhwcLayout& layout = scratch_.output.layout();
  if (layout.height * layout.width < kSmallPlane) {
    run_panels();
  } else {
    run_strips();
  }
}

const char* NhwcConvRun::source_data(std::size_t source, std::size_t frame) const {
  return tensors_.sources[source].frames + scratch_.inputs[source].offset(frame);
}

void NhwcConvRun::prepare() {
  scratch_.output.assign(tensors_.policy, frames_, conv_.outputs_,
                         conv_.output_layout(height_, width_));
  std::vector<CompactNhwc*> all{&scratch_.output};
  for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
    scratch_.inputs[i].assign(tensors_.sources[i].policy, frames_, conv_.sources_[i].channels,
                              conv_.input_layout(i, height_, width_));
    all.push_back(&scratch_.inputs[i]);
  }
  CompactNhwc::order(all, kernel_.precision, parallel_for_);
  for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
    scratch_.shapes[i] = {scratch_.inputs[i].layout(), conv_.sources_[i].channels, conv_.size_,
                          conv_.stride_};
  }
  if (conv_.winograd_) {
    prepare_winograd();
  } else {
    prepare_reads();
  }
}

void NhwcConvRun::prepare_winograd() {
  scratch_.winograd.resize(frames_);
  parallel_for_(frames_, [&](std::size_t frame) {
    WinogradInput& reads = scratch_.winograd.reads(frame);
    reads.clear();
    for (std::size_t i = 0; i < conv_.sources_.size(); ++i) {
      const CompactNhwc& input = scratch_.inputs[i];
      if (conv_.sources_[i].compact) {
        reads.add(source_data(i, frame), scratch_.shapes[i], input[frame], input.previous(frame),
                  kernel_);
      } else {
        reads.add(source_data(i, frame), scratch_.shapes[i], {}, {false, false}, kernel_);
      }
    }
  });
}

void NhwcConvRun::prepare_reads() {
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    CompactInputs& reads = scratch_.reads[i];
    if (!conv_.terms_[i].compact) {
      scratch_.entries[i].assign(scratch_.shapes[i], kernel_, TemporalShift{}, {false, false});
      continue;
    }
    reads.reset(frames_, conv_.merges_);
    for (std::size_t frame = 0; frame < frames_; ++frame) {
      for (std::size_t k = i; k < (conv_.merges_ ? conv_.sources_.size() : i + 1); ++k) {
        const InputShape& shape = scratch_.shapes[k];
        const CompactNhwc& input = scratch_.inputs[k];
        reads.add(frame, {source_data(k, frame), shape, input[frame], input.previous(frame),
                          -static_cast<std::ptrdiff_t>(shape.layout.frame_pitch())});
      }
    }
    reads.finish(kernel_, parallel_for_);
  }
}

std::size_t NhwcConvRun::panels_of(std::size_t frame) const {
  return ceil_div(scratch_.output[frame].size(), kernel_.nr);
}

// The weights of the stored outputs, a row per K group of a dense source or per channel of a
// compact one.
BPanels NhwcConvRun::pack_chosen_n(std::size_t index, std::size_t frame, std::size_t begin,
                                   std::size_t end) const {
  const NhwcConv::Term& term = conv_.terms_[index];
  const PackedBForChosenN& weights = *term.chosen_n;
  const ChannelOrder& outputs = scratch_.output[frame];
  const std::size_t width = kernel_.nr;
  const std::size_t k_groups = weights.k_groups() * width;
  // A pack_chosen_n writes whole cache lines of k_groups.
  std::uint32_t* const panels =
      task_scratch.panels[index].reserve((end - begin) * k_groups + kLine / kGroupBytes * width);
  task_scratch.chosen.resize(width);
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t first = panel * width;
    const std::size_t count = std::min(width, outputs.size() - first);
    for (std::size_t i = 0; i < width; ++i) {
      task_scratch.chosen[i] = i < count ? weights.row(outputs[first + i]) : weights.zeros();
    }
    kernel_.pack_chosen_n(task_scratch.chosen.data(), count, weights.depth(),
                          panels + (panel - begin) * k_groups);
  }
  if (!term.compact || kr(kernel_.precision) == 1) {
    return {reinterpret_cast<const char*>(panels), k_groups * kGroupBytes, begin, end};
  }
  const auto split = kernel_.precision == Precision::kInt8 ? split_k_groups<std::uint8_t>
                                                           : split_k_groups<std::uint16_t>;
  const std::size_t taps = conv_.size_ * conv_.size_;
  const std::size_t bytes = (taps * term.channels + 1) * kernel_.b_channel_row_bytes();
  char* const rows = reinterpret_cast<char*>(
      task_scratch.channels[index].reserve((end - begin) * bytes / kGroupBytes));
  for (std::size_t panel = begin; panel < end; ++panel) {
    split(panels + (panel - begin) * k_groups, taps, term.channels, width,
          rows + (panel - begin) * bytes);
  }
  return {rows, bytes, begin, end};
}

BPanels NhwcConvRun::weights(std::size_t index, std::size_t frame, std::size_t begin,
                             std::size_t end) const {
  const NhwcConv::Term& term = conv_.terms_[index];
  const BPanels panels = conv_.compact_ ? pack_chosen_n(index, frame, begin, end)
                         : term.compact ? term.chosen_k->panels()
                                        : term.dense->panels();
  return term.compact && !conv_.winograd_
             ? scratch_.reads[index].read_panels(frame, kernel_, panels, begin, end,
                                                 task_scratch.panels[index])
             : panels;
}

ConvTarget NhwcConvRun::target(std::size_t frame, std::size_t begin, std::size_t end,
                               float* total) const {
  const std::size_t width = kernel_.nr;
  EpiloguePerChannel channels = conv_.epilogue_.channels();
  if (conv_.compact_) {
    const ChannelOrder& stored = scratch_.output[frame];
    float* const bias = task_scratch.bias.reserve(panels_ * width);
    float* const scale = task_scratch.scale.reserve(panels_ * width);
    for (std::size_t i = begin * width; i < end * width; ++i) {
      bias[i] = i < stored.size() ? conv_.epilogue_.bias(stored[i]) : 0.0f;
      scale[i] = i < stored.size() ? conv_.epilogue_.scale(stored[i]) : 0.0f;
    }
    channels = {bias, scale};
  }
  std::fill_n(total + begin * width, (end - begin) * width, 0.0f);
  return {tensors_.output + scratch_.output.offset(frame),
          scratch_.output.layout(),
          channels,
          nullptr,
          1,
          total};
}

void NhwcConvRun::convolve_panels(std::size_t frame, ImageRows range, std::size_t begin,
                                  std::size_t end, float* total) const {
  const NhwcLayout& layout = scratch_.output.layout();
  if (begin == 0) {
    layout.clear_border(tensors_.output + scratch_.output.offset(frame), range.begin, range.end);
  }
  end = std::min(end, panels_of(frame));
  if (begin >= end) {
    return;
  }
  const ConvTarget to = target(frame, begin, end, total);
  const std::size_t stored = scratch_.output[frame].size();
  if (conv_.winograd_) {
    BPanels panels[kMaxSources];
    for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
      panels[i] = weights(i, frame, begin, end);
    }
    convolve_winograd(kernel_, scratch_.winograd.reads(frame), panels, to, true, range,
                      layout.height, layout.width, stored, begin, end, task_scratch.winograd);
    return;
  }
  std::vector<ConvTerm>& terms = task_scratch.terms;
  terms.clear();
  for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
    const BPanels panels = weights(i, frame, begin, end);
    terms.push_back(conv_.terms_[i].compact ? scratch_.reads[i].source(frame, panels)
                                            : ConvTerm{source_data(i, frame), scratch_.shapes[i],
                                                       scratch_.entries[i], panels});
    terms.back().prefetches = conv_.size_ == 1;
  }
  convolve(kernel_, terms.data(), terms.size(), to, range, stored, begin, end, task_scratch.tiles);
}

void NhwcConvRun::convolve_frames(std::size_t first, std::size_t last, std::size_t panel) const {
  const NhwcLayout& layout = scratch_.output.layout();
  const std::size_t width = kernel_.nr;
  std::vector<WinogradFrame>& frames = task_scratch.frames;
  frames.clear();
  BPanels panels[kMaxSources];
  for (std::size_t frame = first; frame < last; ++frame) {
    if (panel == 0) {
      layout.clear_border(tensors_.output + scratch_.output.offset(frame), 0, layout.height);
    }
    if (panel < panels_of(frame)) {
      for (std::size_t i = 0; i < conv_.terms_.size(); ++i) {
        panels[i] = weights(i, frame, panel, panel + 1);
      }
      frames.push_back(scratch_.winograd.frame(
          frame, panels, target(frame, panel, panel + 1, partials(frame, 0, 1))));
    }
  }
  if (!frames.empty()) {
    // Where frames store different channels, there is one.
    const std::size_t left = scratch_.output[first].size() - panel * width;
    convolve_winograd(frames.data(), frames.size(), true, panel, std::min(left, width),
                      task_scratch.winograd);
  }
}

void NhwcConvRun::run_panels() {
  partials_ = scratch_.partials.reserve(frames_ * partials_pitch_);
  const ImageRows whole{0, scratch_.output.layout().height};
  if (!conv_.winograd_) {
    // Tasks that follow each other read the same panel's weights.
    parallel_for_(panels_ * frames_, [&](std::size_t task) {
      const std::size_t frame = task % frames_, panel = task / frames_;
      convolve_panels(frame, whole, panel, panel + 1, partials(frame, 0, 1));
    });
  } else {
    scratch_.winograd.transform(kernel_, whole.end, scratch_.output.layout().width, parallel_for_);
    const std::size_t chunks =
        conv_.compact_ ? frames_ : std::min(frames_, ceil_div(kEnoughTasks / 2, panels_));
    parallel_for_(panels_ * chunks, [&](std::size_t task) {
      const std::size_t panel = task / chunks, chunk = task % chunks;
      convolve_frames(frames_ * chunk / chunks, frames_ * (chunk + 1) / chunks, panel);
    });
  }
  reduce_means(1);
}

void NhwcConvRun::run_strips() {
  const std::size_t height = scratch_.output.layout().height;
  const std::size_t step = conv_.winograd_ ? kWinogradOutput : 1;
  const std::size_t steps = ceil_div(height, step);
  const std::size_t parts = std::clamp(ceil_div(kEnoughTasks, frames_), std::size_t{1}, steps);
  partials_ = scratch_.partials.reserve(frames_ * parts * partials_pitch_);
  parallel_for_(frames_ * parts, [&](std::size_t task) {
    const std::size_t frame = task / parts, part = task % parts;
    const ImageRows range{std::min(height, steps * part / parts * step),
                          std::min(height, steps * (part + 1) / parts * step)};
    convolve_panels(frame, range, 0, panels_, partials(frame, part, parts));
  });
  reduce_means(parts);
}

void NhwcConvRun::reduce_means(std::size_t parts) {
  const NhwcLayout& layout = scratch_.output.layout();
  const float scale = conv_.output_scale_ / static_cast<float>(layout.height * layout.width);
  scratch_.output.fuse_means(
      [&](std::size_t frame, std::size_t place) {
        float total = 0;
        for (std::size_t part = 0; part < parts; ++part) {
          total += partials(frame, part, parts)[place];
        }
        return total * scale;
      },
      tensors_.pooled);
}

}  // namespace adafuse
