#include "kernels/frame_conv.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "kernels/compact_frames.h"

namespace adafuse {
namespace {

// Frames of fewer pixels are cut into panels of output channels, others into strips of rows.
constexpr std::size_t kSmallPlane = 400;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

// What a run shares between threads, kept by the thread that runs it.
struct Shared {
  CompactFrames output;
  std::array<CompactFrames, kMaxSources> inputs;
  std::array<InputShape, kMaxSources> shapes;
  std::array<std::vector<StepList>, kMaxSources> steps;  // of a compact source: per row
  AlignedArray<float> sums;
};
struct TaskScratch {
  std::array<AlignedArray<std::uint32_t>, kMaxSources> panels, channels;
  AlignedArray<float> bias, scale;
  std::vector<const std::uint32_t*> gathered;
  std::vector<ConvSource> terms;
  std::vector<PixelTile> tiles;
};
thread_local Shared own_shared;
thread_local TaskScratch task_scratch;

// Inputs [first, first + count) of a convolution.
std::vector<float> slice_inputs(const ConvWeights& conv, std::size_t first, std::size_t count) {
  std::vector<float> weights;
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    const float* const from = conv.weight + (output * conv.inputs + first) * conv.taps;
    weights.insert(weights.end(), from, from + count * conv.taps);
  }
  return weights;
}

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// A panel's units of two channels each as rows of one channel each, as ChannelWeights holds them.
void split_units(const std::uint32_t* units, std::size_t taps, std::size_t inputs,
                 std::size_t width, std::uint16_t* rows) {
  for (std::size_t tap = 0; tap < taps; ++tap) {
    for (std::size_t input = 0; input < inputs; ++input) {
      const std::uint32_t* const from = units + (tap * ceil_div(inputs, 2) + input / 2) * width;
      const unsigned shift = input % 2 * 16;
      for (std::size_t i = 0; i < width; ++i) {
        *rows++ = static_cast<std::uint16_t>(from[i] >> shift);
      }
    }
  }
  std::fill_n(rows, width, std::uint16_t{0});
}

}  // namespace

FrameConv::FrameConv(const FrameConvSpec& spec, const TileKernel& kernel)
    : kernel_(kernel),
      outputs_(spec.conv.outputs),
      size_(spec.conv.taps == 9 ? 3 : 1),
      stride_(spec.stride),
      input_border_(spec.input_border),
      border_(spec.border),
      compact_(spec.compact),
      constants_(kernel, spec.conv) {
  if (spec.conv.taps != size_ * size_ || spec.stride == 0) {
    throw std::invalid_argument("the kernel must be 1x1 or 3x3 and the stride positive");
  }
  if (spec.input_border < size_ / 2) {
    throw std::invalid_argument("a 3x3 kernel needs frames with a border");
  }
  if (kernel.precision == Precision::kInt8) {
    throw std::invalid_argument("there is no such convolution in 8 bits");
  }
  if (spec.sources.empty() || spec.sources.size() > kMaxSources) {
    throw std::invalid_argument("the input must lie in 1 to 6 tensors");
  }
  std::size_t first = 0;
  for (const FrameSourceSpec& source : spec.sources) {
    if (first + source.channels > spec.conv.inputs) {
      break;
    }
    const std::vector<float> weights = slice_inputs(spec.conv, first, source.channels);
    const ConvWeights part{weights.data(), spec.conv.bias, outputs_, source.channels,
                           spec.conv.taps};
    Source& packed = sources_.emplace_back(
        Source{source.channels, source.compact, std::nullopt, std::nullopt, std::nullopt});
    if (spec.compact) {
      packed.by_output.emplace(kernel, part, TemporalShift{});
    } else if (source.compact) {
      packed.by_input.emplace(kernel, part);
    } else {
      packed.all.emplace(kernel, part, TemporalShift{});
    }
    first += source.channels;
  }
  if (sources_.size() != spec.sources.size() || first != spec.conv.inputs) {
    throw std::invalid_argument("the tensors must hold as many channels as the weights have");
  }
}

FrameLayout FrameConv::input_layout(std::size_t source, std::size_t height,
                                    std::size_t width) const {
  return {height, width, input_border_,
          channel_pitch(sources_[source].channels, kernel_.precision)};
}

FrameLayout FrameConv::output_layout(std::size_t height, std::size_t width) const {
  return {ceil_div(height, stride_), ceil_div(width, stride_), border_,
          channel_pitch(outputs_, kernel_.precision)};
}

// The weights of the stored outputs, a row per unit of a dense source or per channel of a compact
// one.
Panels FrameConv::gather(std::size_t index, const CompactChannels& outputs, std::size_t begin,
                         std::size_t end) const {
  const Source& source = sources_[index];
  const OutputWeights& weights = *source.by_output;
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
  if (!source.compact || per_unit(kernel_.precision) == 1) {
    return {reinterpret_cast<const char*>(panels), units * kUnit, begin};
  }
  const std::size_t taps = size_ * size_;
  const std::size_t bytes = (taps * source.channels + 1) * kernel_.channel_row();
  char* const rows =
      reinterpret_cast<char*>(task_scratch.channels[index].reserve((end - begin) * bytes / kUnit));
  for (std::size_t panel = begin; panel < end; ++panel) {
    split_units(panels + (panel - begin) * units, taps, source.channels, width,
                reinterpret_cast<std::uint16_t*>(rows + (panel - begin) * bytes));
  }
  return {rows, bytes, begin};
}

void FrameConv::run(std::size_t rows, std::size_t height, std::size_t width,
                    const FrameConvTensors& tensors, const ParallelFor& parallel_for) const {
  if (rows * height * width == 0) {
    return;
  }
  Shared& shared = own_shared;
  shared.output.assign(tensors.policy, rows, outputs_, output_layout(height, width),
                       kernel_.precision, parallel_for);
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const Source& source = sources_[i];
    CompactFrames& input = shared.inputs[i];
    input.assign(tensors.sources[i].policy, rows, source.channels, input_layout(i, height, width),
                 kernel_.precision, parallel_for);
    const InputShape& shape = shared.shapes[i] = {input.layout(), source.channels, size_, stride_};
    std::vector<StepList>& steps = shared.steps[i];
    steps.resize(std::max(steps.size(), source.compact ? rows : std::size_t{1}));
    if (source.compact) {
      parallel_for(rows, [&](std::size_t row) {
        steps[row].assign(shape, kernel_, input[row], input.previous(row));
      });
    } else {
      steps[0].assign(shape, kernel_, TemporalShift{}, {false, false});
    }
  }

  const FrameLayout& layout = shared.output.layout();
  const std::size_t panel = kernel_.panel_width();
  // A cache line apart: threads write neighbouring ones.
  const std::size_t pitch = round_up(outputs_, panel) + kLine / sizeof(float);
  const std::size_t panels = ceil_div(outputs_, panel);
  const bool small = layout.height * layout.width < kSmallPlane;
  const std::size_t parts =
      small ? 1 : std::clamp(ceil_div(kEnoughTasks, rows), std::size_t{1}, layout.height);
  float* const sums = shared.sums.reserve(rows * parts * pitch);

  const auto part = [&](std::size_t row, RowRange range, std::size_t begin, std::size_t end,
                        float* total) {
    const CompactChannels& stored = shared.output[row];
    char* const frame = tensors.output + shared.output.offset(row);
    if (begin == 0) {
      layout.clear_border(frame, range.begin, range.end);
    }
    end = std::min(end, ceil_div(stored.size(), panel));
    if (begin >= end) {
      return;
    }
    std::fill_n(total + begin * panel, (end - begin) * panel, 0.0f);
    PerChannel channels = constants_.channels();
    if (compact_) {
      float* const bias = task_scratch.bias.reserve(panels * panel);
      float* const scale = task_scratch.scale.reserve(panels * panel);
      for (std::size_t i = begin * panel; i < end * panel; ++i) {
        bias[i] = i < stored.size() ? constants_.bias(stored[i]) : 0.0f;
        scale[i] = i < stored.size() ? constants_.scale(stored[i]) : 0.0f;
      }
      channels = {bias, scale};
    }
    std::vector<ConvSource>& terms = task_scratch.terms;
    terms.clear();
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const Source& source = sources_[i];
      const StepList& steps = shared.steps[i][source.compact ? row : 0];
      Panels weights = compact_         ? gather(i, stored, begin, end)
                       : source.compact ? source.by_input->panels()
                                        : source.all->panels();
      if (source.compact) {
        weights = steps.read_panels(kernel_, weights, begin, end, task_scratch.panels[i]);
      }
      terms.push_back({tensors.sources[i].frames + shared.inputs[i].offset(row), shared.shapes[i],
                       steps, weights, 0, size_ == 1});
    }
    convolve(kernel_, terms.data(), terms.size(), {frame, layout, channels, nullptr, 1, total},
             range, stored.size(), begin, end, task_scratch.tiles);
  };
  if (small) {
    // Tasks that follow each other read the same panel's weights.
    parallel_for(panels * rows, [&](std::size_t task) {
      const std::size_t row = task % rows, first = task / rows;
      part(row, {0, layout.height}, first, first + 1, sums + row * pitch);
    });
  } else {
    parallel_for(rows * parts, [&](std::size_t task) {
      const std::size_t i = task % parts;
      part(task / parts, {layout.height * i / parts, layout.height * (i + 1) / parts}, 0, panels,
           sums + task * pitch);
    });
  }
  const float scale = 1 / static_cast<float>(layout.height * layout.width);
  shared.output.fuse_means(
      [&](std::size_t row, std::size_t place) {
        float total = 0;
        for (std::size_t i = 0; i < parts; ++i) {
          total += sums[(row * parts + i) * pitch + place];
        }
        return total * scale;
      },
      tensors.pooled);
}

}  // namespace adafuse
