#include "operators/residual_run.h"

#include <algorithm>

#include "microkernels/igemm_nhwc/compact_input.h"

namespace adafuse {

// What a pass shares between threads, kept by the thread that runs it from block to block.
struct FramePanel {
  std::size_t origin, panel;
};
struct Scratch {
  AlignedArray<char> y, z, input;
  AlignedArray<float> partials;
  std::vector<ChannelOrder> channels;                   // per origin
  std::vector<InputShape> mids;                         // of conv2, per frame
  std::vector<FramePanel> first_panels;                 // of conv1
  CompactInputs reads;                                  // of conv2, per frame
  std::array<KIndirection, 4> first_steps, skip_steps;  // by the neighbours of a frame
  KIndirection narrow_steps;
  // What conv1 and conv2 read by Winograd, per origin and per frame.
  WinogradFrames conv1_winograd, conv2_winograd;
};

namespace {

// What a thread needs for one task.
struct TaskScratch {
  AlignedArray<std::uint32_t> panels;
  AlignedArray<float> bias, scale, zeros;
  AlignedArray<char> z;
  std::vector<const std::uint32_t*> chosen;
  std::vector<ConvTerm> terms;
  std::vector<OutputTile> tiles;
  WinogradScratch winograd;
  std::vector<WinogradFrame> frames;
  std::vector<std::size_t> places;
};
thread_local Scratch pass_scratch;
thread_local TaskScratch task_scratch;

// Frames of fewer pixels are cut into panels.
constexpr std::size_t kSmallPlane = 400;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32, kFewTasks = 8;
// Half of a usual first-level cache, in bytes.
constexpr std::size_t kNarrowStrip = 16 * 1024;

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// What a stream's frame leaves of a channel of conv1 to the next one, in `missing`: its result;
// what the frame reused, which is of no more use; or nothing.
constexpr std::int32_t kStored = 0, kSkipped = 1, kReused = 2;

// Copies the values of a pixel at `places` and puts `filling` zeros behind them.
template <typename Value>
void copy_values(const char* from, const std::vector<std::size_t>& places, char* to,
                 std::size_t filling) {
  const Value* const values = reinterpret_cast<const Value*>(from);
  Value* const copied = reinterpret_cast<Value*>(to);
  for (std::size_t i = 0; i < places.size(); ++i) {
    copied[i] = values[places[i]];
  }
  std::fill_n(copied + places.size(), filling, Value{0});
}

}  // namespace

ResidualRun::ResidualRun(const ResidualBlock& block, std::size_t frames,
                         std::size_t frames_per_clip, std::size_t height, std::size_t width,
                         const ResidualBlockTensors& tensors, const Policy* policy,
                         const ResidualBlockHistory* history)
    : block_(block),
      kernel_(block.kernel_),
      frames_(frames),
      frames_per_clip_(frames_per_clip),
      tensors_(tensors),
      policy_(policy),
      history_(history),
      output_(block.output_layout(height, width)),
      scratch_(pass_scratch),
      x_(tensors.input),
      partials_pitch_(round_up(block.out_channels_, kernel_.nr) + kLine / sizeof(float)) {
  const bool bottleneck = block.is_bottleneck();
  const std::size_t first_stride = bottleneck ? 1 : block.stride_;
  const NhwcLayout in = block.input_layout(height, width);
  input_ = {in, block.in_channels_, bottleneck ? std::size_t{1} : std::size_t{3}, first_stride};
  skipped_ = {in, block.in_channels_, 1, block.stride_};
  const NhwcLayout middle = bottleneck ? in : output_;
  mid_ = {{middle.height, middle.width, 1, 0},
          block.mid_channels_,
          3,
          bottleneck ? block.stride_ : std::size_t{1}};
  narrow_ = {
      {output_.height, output_.width, 0, channel_pitch(block.mid_channels_, kernel_.precision)},
      block.mid_channels_,
      1,
      1};
}

Neighbours ResidualRun::neighbours(std::size_t frame) const {
  return {frame % frames_per_clip_ != 0, (frame + 1) % frames_per_clip_ != 0};
}

const KIndirection& ResidualRun::shifted(const std::array<KIndirection, 4>& lists,
                                         std::size_t frame) const {
  if (!shifts()) {
    return lists[0];
  }
  const Neighbours near = neighbours(frame);
  return lists[(near.previous ? 1 : 0) + (near.next ? 2 : 0)];
}

void ResidualRun::prepare() {
  scratch_.channels.resize(std::max(scratch_.channels.size(), origins()));
  scratch_.mids.assign(frames_, mid_);
  scratch_.reads.reset(frames_, kernel_.k_block > 1);
  scratch_.conv1_winograd.resize(origins());
  scratch_.conv2_winograd.resize(frames_);
  if (streams()) {
    prepare_streams();
  } else {
    prepare_clips();
  }
  for (std::size_t origin = 0; block_.winograd1_ && origin < origins(); ++origin) {
    WinogradInput& reads = scratch_.conv1_winograd.reads(origin);
    reads.clear();
    if (scratch_.channels[origin].computed() > 0) {
      reads.add(origin_input(origin), input_, block_.shift_, neighbours(origin % frames_), kernel_);
    }
  }
  for (std::size_t i = 0; i < (shifts() ? scratch_.first_steps.size() : 1); ++i) {
    const Neighbours near{(i & 1) != 0, (i & 2) != 0};
    scratch_.first_steps[i].assign(input_, kernel_, block_.shift_, near);
    if (block_.shortcut_) {
      scratch_.skip_steps[i].assign(skipped_, kernel_, block_.shortcut_shift_, near);
    }
  }
  scratch_.narrow_steps.assign(narrow_, kernel_, {}, {false, false});
}

const InputShape& ResidualRun::mid(std::size_t frame) const {
  return scratch_.mids[frame];
}

// Pixels lie as close as their channels allow.
NhwcLayout ResidualRun::mid_layout(std::size_t own, std::size_t reused) const {
  const std::size_t bytes = value_bytes(kernel_.precision);
  NhwcLayout layout = mid_.layout;
  layout.pitch = pixel_pitch(reused_offset(own) + reused * bytes);
  return layout;
}

void ResidualRun::prepare_clips() {
  std::size_t most = 0;
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    scratch_.channels[frame].assign(policy_, frame, block_.mid_channels_);
    most = std::max(most, scratch_.channels[frame].size());
  }
  const NhwcLayout layout = mid_layout(most, 0);
  y_pitch_ = layout.frame_pitch();
  y_ = scratch_.y.reserve(frames_ * y_pitch_ + kLine);
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    scratch_.mids[frame].layout = layout;
    const ChannelOrder* previous =
        neighbours(frame).previous ? &scratch_.channels[frame - 1] : nullptr;
    prepare_reads(frame, previous, -static_cast<std::ptrdiff_t>(y_pitch_));
  }
}

void ResidualRun::prepare_streams() {
  const std::size_t channels = block_.mid_channels_;
  y_pitch_ = block_.history_layout(input_.layout.height, input_.layout.width).frame_pitch();
  y_ = history_->next_convolution;
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    ChannelOrder& reused = scratch_.channels[frames_ + frame];
    scratch_.channels[frame].assign(policy_, frame, channels);
    reused.assign_reused(*policy_, frame, history_->missing + frame * channels);
    const std::size_t own = scratch_.channels[frame].size();
    scratch_.mids[frame].layout = mid_layout(own, reused.size());
    prepare_reads(frame, &reused, static_cast<std::ptrdiff_t>(reused_offset(own)));
    for (std::size_t channel = 0; channel < channels; ++channel) {
      history_->next_missing[frame * channels + channel] = policy_->keeps(frame, channel) ? kStored
                                                           : policy_->reuses(frame, channel)
                                                               ? kReused
                                                               : kSkipped;
    }
  }
}

void ResidualRun::prepare_reads(std::size_t frame, const ChannelOrder* previous,
                                std::ptrdiff_t distance) {
  const ChannelOrder& own = scratch_.channels[frame];
  if (block_.winograd2_) {
    WinogradInput& reads = scratch_.conv2_winograd.reads(frame);
    reads.clear();
    reads.add(y(frame), mid(frame), own, previous, distance, kernel_);
  } else {
    scratch_.reads.add(frame, {y(frame), mid(frame), own, previous, distance});
  }
}

void ResidualRun::finish_reads(const ParallelFor& parallel_for) const {
  if (!block_.winograd2_) {
    scratch_.reads.finish(kernel_, parallel_for);
  }
}

// Where in a pixel lies what is reused.
std::size_t ResidualRun::reused_offset(std::size_t own) const {
  return round_up(own * value_bytes(kernel_.precision), kLine);
}

const char* ResidualRun::origin_input(std::size_t origin) const {
  return is_deferred(origin) ? history_->input + (origin - frames_) * input_.layout.frame_pitch()
                             : x(origin);
}

void ResidualRun::copy_reused(std::size_t frame, ImageRows rows) const {
  const ChannelOrder& reused = scratch_.channels[frames_ + frame];
  const std::size_t bytes = value_bytes(kernel_.precision);
  const std::int32_t* const missing = history_->missing + frame * block_.mid_channels_;
  std::vector<std::size_t>& places = task_scratch.places;
  places.clear();
  std::size_t place = 0, next = reused.computed();
  for (std::size_t channel = 0; next < reused.size(); ++channel) {
    if (missing[channel] == kStored) {
      if (reused[next] == channel) {
        places.push_back(place);
        ++next;
      }
      ++place;
    }
  }
  const auto copy = bytes == 4   ? copy_values<std::uint32_t>
                    : bytes == 2 ? copy_values<std::uint16_t>
                                 : copy_values<std::uint8_t>;
  // The rest of the last k_group meets weights of zero, and must be numbers.
  const std::size_t filling = round_up(reused.size(), kr(kernel_.precision)) - reused.size();
  if (places.size() + filling == 0) {
    return;
  }
  const auto count = [&](std::int32_t state) {
    return static_cast<std::size_t>(std::count(missing, missing + block_.mid_channels_, state));
  };
  const NhwcLayout from_layout = mid_layout(count(kStored), count(kReused));
  const NhwcLayout& to_layout = mid(frame).layout;
  const char* const from = history_->convolution + frame * y_pitch_;
  char* const to =
      y(frame) + reused_offset(scratch_.channels[frame].size()) + reused.computed() * bytes;
  for (std::size_t y = rows.begin; y < rows.end; ++y) {
    const std::ptrdiff_t line = static_cast<std::ptrdiff_t>(y);
    for (std::size_t x = 0; x < mid_.layout.width; ++x) {
      const std::ptrdiff_t column = static_cast<std::ptrdiff_t>(x);
      copy(from + from_layout.offset(line, column), places, to + to_layout.offset(line, column),
           filling);
    }
  }
}

void ResidualRun::first_stage(std::size_t origin, ImageRows rows, std::size_t panel_begin,
                              std::size_t panel_end) const {
  const std::size_t panels = ceil_div(scratch_.channels[origin].computed(), kernel_.nr);
  if (panel_begin == 0 && !is_deferred(origin)) {
    mid(origin).layout.clear_border(y(origin), rows.begin, rows.end);
  }
  if (panel_begin < std::min(panel_end, panels)) {
    compute_channels(origin, rows, panel_begin, std::min(panel_end, panels));
  }
  // The last panel writes whole vectors, so what stands behind it comes after it.
  const std::size_t last = panels == 0 ? 0 : panels - 1;
  if (is_deferred(origin) && panel_begin <= last && last < panel_end) {
    copy_reused(origin - frames_, rows);
  }
}

void ResidualRun::compute_channels(std::size_t origin, ImageRows rows, std::size_t panel_begin,
                                   std::size_t panel_end) const {
  const std::size_t frame = origin % frames_;
  const ChannelOrder& channels = scratch_.channels[origin];
  const std::size_t computed = channels.computed();
  const std::size_t width = kernel_.nr;
  const PackedBForChosenN& weights = block_.conv1_;
  const std::size_t panel_groups = weights.k_groups() * width;
  // A pack_chosen_n writes whole cache lines of k_groups.
  std::uint32_t* const panels = task_scratch.panels.reserve(
      (panel_end - panel_begin) * panel_groups + kLine / kGroupBytes * width);
  float* const bias = task_scratch.bias.reserve(panel_end * width);
  float* const scale = task_scratch.scale.reserve(panel_end * width);
  task_scratch.chosen.assign(width, weights.zeros());
  for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
    const std::size_t first = panel * width;
    const std::size_t count = std::min(width, computed - first);
    for (std::size_t i = 0; i < width; ++i) {
      const bool used = i < count;
      task_scratch.chosen[i] = used ? weights.row(channels[first + i]) : weights.zeros();
      bias[first + i] = used ? block_.epilogue1_.bias(channels[first + i]) : 0.0f;
      scale[first + i] = used ? block_.epilogue1_.scale(channels[first + i]) : 0.0f;
    }
    kernel_.pack_chosen_n(task_scratch.chosen.data(), count, weights.depth(),
                          panels + (panel - panel_begin) * panel_groups);
  }
  const BPanels chosen{reinterpret_cast<const char*>(panels), panel_groups * kGroupBytes,
                       panel_begin, panel_end};
  const ConvTarget target{
      y(frame) + (is_deferred(origin) ? reused_offset(scratch_.channels[frame].size()) : 0),
      mid(frame).layout,
      {bias, scale}};
  if (block_.winograd1_ && by_panels_) {
    const WinogradFrame whole = scratch_.conv1_winograd.frame(origin, &chosen, target);
    const std::size_t left = computed - panel_begin * width;
    convolve_winograd(&whole, 1, true, panel_begin, std::min(left, width), task_scratch.winograd);
    return;
  }
  if (block_.winograd1_) {
    convolve_winograd(kernel_, scratch_.conv1_winograd.reads(origin), &chosen, target, true, rows,
                      mid_.layout.height, mid_.layout.width, computed, panel_begin, panel_end,
                      task_scratch.winograd);
    return;
  }
  const ConvTerm source{
      origin_input(origin), input_, shifted(scratch_.first_steps, frame), chosen, 0,
      input_.kernel == 1};
  convolve(kernel_, &source, 1, target, rows, computed, panel_begin, panel_end, task_scratch.tiles);
}

BPanels ResidualRun::read_panels(std::size_t frame, std::size_t panel_begin,
                                 std::size_t panel_end) const {
  return scratch_.reads.read_panels(frame, kernel_, block_.conv2_.panels(), panel_begin, panel_end,
                                    task_scratch.panels);
}

ConvTarget ResidualRun::second_target(char* z, std::size_t z_first_row) const {
  return {z, narrow_.layout, block_.epilogue2_.channels(), nullptr, 1, nullptr, z_first_row};
}

void ResidualRun::second_stage(std::size_t frame, const BPanels& conv2, ImageRows rows,
                               std::size_t panel_begin, std::size_t panel_end, char* z,
                               std::size_t z_first_row) const {
  const ConvTarget target = second_target(z, z_first_row);
  if (block_.winograd2_) {
    convolve_winograd(kernel_, scratch_.conv2_winograd.reads(frame), &conv2, target, true, rows,
                      output_.height, output_.width, block_.mid_channels_, panel_begin, panel_end,
                      task_scratch.winograd);
    return;
  }
  const ConvTerm source = scratch_.reads.source(frame, conv2);
  convolve(kernel_, &source, 1, target, rows, block_.mid_channels_, panel_begin, panel_end,
           task_scratch.tiles);
}

ConvTarget ResidualRun::last_target(std::size_t frame, float* partials) const {
  char* const output = tensors_.output + frame * output_.frame_pitch();
  return {output,
          output_,
          block_.last_epilogue_.channels(),
          block_.shortcut_ ? nullptr : x(frame),
          block_.scales_.input / block_.scales_.output,
          partials};
}

// What a basic block's conv2 gives by Winograd; a shortcut convolution is yet to be added.
ConvTarget ResidualRun::winograd_target(std::size_t frame, float* partials) const {
  ConvTarget target = last_target(frame, block_.shortcut_ ? nullptr : partials);
  if (block_.shortcut_) {
    const std::size_t size = round_up(block_.out_channels_, kernel_.nr);
    float* const zeros = task_scratch.zeros.reserve(size);
    std::fill_n(zeros, size, 0.0f);
    target.channels = {zeros, zeros};
  }
  return target;
}

void ResidualRun::last_stage(std::size_t frame, const BPanels& conv2, ImageRows rows,
                             std::size_t panel_begin, std::size_t panel_end, const char* z,
                             std::size_t z_first_row, float* partials) const {
  ConvTarget target = last_target(frame, partials);
  if (panel_begin == 0) {
    output_.clear_border(target.frame, rows.begin, rows.end);
  }
  std::vector<ConvTerm>& terms = task_scratch.terms;
  terms.clear();
  if (block_.is_bottleneck()) {
    terms.push_back({z, narrow_, scratch_.narrow_steps, block_.conv3_->panels(), z_first_row});
  } else if (!block_.winograd2_) {
    terms.push_back(scratch_.reads.source(frame, conv2));
  } else {
    if (!by_panels_) {
      convolve_winograd(kernel_, scratch_.conv2_winograd.reads(frame), &conv2,
                        winograd_target(frame, partials), !block_.shortcut_, rows, output_.height,
                        output_.width, block_.out_channels_, panel_begin, panel_end,
                        task_scratch.winograd);
    }
    target.residual = target.frame;
  }
  if (block_.shortcut_) {
    terms.push_back({x(frame), skipped_, shifted(scratch_.skip_steps, frame),
                     block_.shortcut_->panels(), 0, false, block_.rescale_.data()});
  }
  if (!terms.empty()) {
    convolve(kernel_, terms.data(), terms.size(), target, rows, block_.out_channels_, panel_begin,
             panel_end, task_scratch.tiles);
  }
}

std::size_t ResidualRun::strip_step() const {
  return block_.winograd1_ || block_.winograd2_ ? kWinogradOutput : 1;
}

void ResidualRun::run_strips(const ParallelFor& parallel_for) {
  const std::size_t step = strip_step();
  const std::size_t parts =
      std::clamp(ceil_div(kEnoughTasks, origins()), std::size_t{1}, ceil_div(output_.height, step));
  partials_ = scratch_.partials.reserve(parts * frames_ * partials_pitch_);
  const auto part_of = [parts, step](std::size_t height, std::size_t part) {
    const std::size_t steps = ceil_div(height, step);
    return ImageRows{std::min(height, steps * part / parts * step),
                     std::min(height, steps * (part + 1) / parts * step)};
  };
  const std::size_t all = static_cast<std::size_t>(-1);
  parallel_for(origins() * parts, [&](std::size_t task) {
    first_stage(task / parts, part_of(mid_.layout.height, task % parts), 0, all);
  });
  finish_reads(parallel_for);
  const std::size_t z_row = narrow_.layout.row_pitch();
  // Backwards, to begin with what is still in cache; the next block then begins with what ends
  // here.
  parallel_for(frames_ * parts, [&](std::size_t index) {
    const std::size_t task = frames_ * parts - 1 - index;
    const std::size_t frame = task / parts;
    const ImageRows part = part_of(output_.height, task % parts);
    float* const total = partials(task % parts, frame);
    std::fill_n(total, partials_pitch_, 0.0f);
    const BPanels conv2 = read_panels(frame, 0, block_.conv2_.count());
    if (!block_.is_bottleneck()) {
      last_stage(frame, conv2, part, 0, block_.conv2_.count(), nullptr, 0, total);
      return;
    }
    const std::size_t strip =
        block_.winograd2_ ? winograd_strip(scratch_.conv2_winograd.reads(frame), output_.width)
                          : std::max<std::size_t>(1, kNarrowStrip / z_row);
    char* const z = task_scratch.z.reserve(std::min(strip, output_.height) * z_row + kLine);
    for (std::size_t begin = part.begin; begin < part.end; begin += strip) {
      const ImageRows rows{begin, std::min(begin + strip, part.end)};
      second_stage(frame, conv2, rows, 0, block_.conv2_.count(), z, begin);
      last_stage(frame, conv2, rows, 0, block_.conv3_->count(), z, begin, total);
    }
  });
  reduce_means(parts);
}

template <typename Target>
void ResidualRun::run_winograd(std::size_t begin, std::size_t end, std::size_t panel, bool rectify,
                               std::size_t channels, const Target& target) const {
  const BPanels weights = block_.conv2_.panels();
  std::vector<WinogradFrame>& frames = task_scratch.frames;
  frames.clear();
  for (std::size_t frame = begin; frame < end; ++frame) {
    frames.push_back(scratch_.conv2_winograd.frame(frame, &weights, target(frame)));
  }
  const std::size_t width = kernel_.nr;
  convolve_winograd(frames.data(), frames.size(), rectify, panel,
                    std::min(channels - panel * width, width), task_scratch.winograd);
}

void ResidualRun::run_panels(const ParallelFor& parallel_for) {
  by_panels_ = true;
  partials_ = scratch_.partials.reserve(frames_ * partials_pitch_);
  std::vector<FramePanel>& panels = scratch_.first_panels;
  panels.clear();
  for (std::size_t origin = 0; origin < origins(); ++origin) {
    const std::size_t count = ceil_div(scratch_.channels[origin].computed(), kernel_.nr);
    for (std::size_t panel = 0; panel < std::max<std::size_t>(1, count); ++panel) {
      panels.push_back({origin, panel});
    }
  }
  // Few panels are cut into rows too.
  const std::size_t height = mid_.layout.height;
  std::size_t parts = std::clamp(ceil_div(kFewTasks, panels.size()), std::size_t{1}, height);
  if (block_.winograd1_) {
    parts = 1;
    scratch_.conv1_winograd.transform(kernel_, height, mid_.layout.width, parallel_for);
  }
  parallel_for(panels.size() * parts, [&](std::size_t task) {
    const auto [origin, panel] = panels[task / parts];
    const std::size_t part = task % parts;
    first_stage(origin, {height * part / parts, height * (part + 1) / parts}, panel, panel + 1);
  });
  finish_reads(parallel_for);
  if (block_.winograd2_) {
    scratch_.conv2_winograd.transform(kernel_, output_.height, output_.width, parallel_for);
  }
  // A task runs one panel over some rows, so that its weights stay in cache.
  const auto over_panels = [&](std::size_t count, const auto& stage) {
    const std::size_t chunks =
        std::clamp(ceil_div(kEnoughTasks / 2, count), std::size_t{1}, frames_);
    parallel_for(count * chunks, [&](std::size_t task) {
      const std::size_t panel = task / chunks, chunk = task % chunks;
      stage(frames_ * chunk / chunks, frames_ * (chunk + 1) / chunks, panel);
    });
  };
  const ImageRows whole{0, output_.height};
  const std::size_t z_frame = narrow_.layout.frame_pitch();
  const bool bottleneck = block_.is_bottleneck();
  char* const z = bottleneck ? scratch_.z.reserve(frames_ * z_frame + kLine) : nullptr;
  if (bottleneck) {
    over_panels(block_.conv2_.count(), [&](std::size_t begin, std::size_t end, std::size_t panel) {
      if (block_.winograd2_) {
        run_winograd(begin, end, panel, true, block_.mid_channels_,
                     [&](std::size_t frame) { return second_target(z + frame * z_frame, 0); });
        return;
      }
      for (std::size_t frame = begin; frame < end; ++frame) {
        second_stage(frame, read_panels(frame, panel, panel + 1), whole, panel, panel + 1,
                     z + frame * z_frame, 0);
      }
    });
  }
  const bool by_winograd = block_.winograd2_ && !bottleneck;
  const std::size_t width = kernel_.nr;
  over_panels(bottleneck ? block_.conv3_->count() : block_.conv2_.count(), [&](std::size_t begin,
                                                                               std::size_t end,
                                                                               std::size_t panel) {
    for (std::size_t frame = begin; frame < end; ++frame) {
      std::fill_n(partials(0, frame) + panel * width, width, 0.0f);
    }
    if (by_winograd) {
      run_winograd(begin, end, panel, !block_.shortcut_, block_.out_channels_,
                   [&](std::size_t frame) { return winograd_target(frame, partials(0, frame)); });
    }
    for (std::size_t frame = begin; frame < end; ++frame) {
      const BPanels conv2 =
          bottleneck || by_winograd ? BPanels{} : read_panels(frame, panel, panel + 1);
      last_stage(frame, conv2, whole, panel, panel + 1, z + frame * z_frame, 0, partials(0, frame));
    }
  });
  reduce_means(1);
}

void ResidualRun::reduce_means(std::size_t slots) const {
  const float scale = block_.scales_.output / static_cast<float>(output_.height * output_.width);
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    for (std::size_t channel = 0; channel < block_.out_channels_; ++channel) {
      float total = 0;
      for (std::size_t slot = 0; slot < slots; ++slot) {
        total += partials(slot, frame)[channel];
      }
      tensors_.pooled[frame * block_.out_channels_ + channel] = total * scale;
    }
  }
}

void ResidualRun::run(const ParallelFor& parallel_for) {
  if (block_.shortcut_ && tensors_.input == tensors_.output) {
    // A shortcut convolution reads neighbouring frames after the output is begun.
    const std::size_t size = frames_ * input_.layout.frame_pitch();
    char* const copy = scratch_.input.reserve(size);
    std::copy_n(tensors_.input, size, copy);
    x_ = copy;
  }
  prepare();
  // A single frame may come to very few strips.
  const bool few = frames_ * ceil_div(output_.height, strip_step()) < kFewTasks;
  if (few || output_.height * output_.width < kSmallPlane) {
    run_panels(parallel_for);
  } else {
    run_strips(parallel_for);
  }
}

}  // namespace adafuse
