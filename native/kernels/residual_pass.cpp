#include "kernels/residual_pass.h"

#include <algorithm>

namespace adafuse {

// What a pass shares between threads, kept by the thread that runs it from block to block.
struct Scratch {
  AlignedBuffer y, z, sums, input;
  std::vector<CompactChannels> channels;            // per row
  std::vector<StepList> reads;                      // of conv2, per row
  std::array<StepList, 4> first_steps, skip_steps;  // by the neighbours of a frame
  StepList narrow_steps;
};

namespace {

// What a thread needs for one task.
struct TaskScratch {
  AlignedBuffer panels, bias, z;
  std::vector<const float*> gathered;
  std::vector<PixelTile> tiles;
};
thread_local Scratch pass_scratch;
thread_local TaskScratch task_scratch;

// Frames of fewer pixels are cut into panels.
constexpr std::size_t kSmallPlane = 400;
// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;
// Half of a usual second-level cache, in floats.
constexpr std::size_t kStripFloats = 64 * 1024;
constexpr std::size_t kNarrowStripFloats = 4 * 1024;
// Weights beyond this are read once per strip rather than once per tile.
constexpr std::size_t kWeightBytes = 384 * 1024;

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

}  // namespace

ResidualPass::ResidualPass(const ResidualBlock& block, std::size_t rows, std::size_t frames,
                           std::size_t height, std::size_t width,
                           const ResidualBlockTensors& tensors, const Policy* policy)
    : block_(block),
      kernel_(block.kernel_),
      rows_(rows),
      frames_(frames),
      tensors_(tensors),
      policy_(policy),
      output_(block.output_layout(height, width)),
      scratch_(pass_scratch),
      x_(tensors.input),
      sums_pitch_(round_up(block.out_channels_, kernel_.panel_width()) + kWidestVector) {
  const bool bottleneck = block.is_bottleneck();
  const std::size_t first_stride = bottleneck ? 1 : block.stride_;
  const FrameLayout in = block.input_layout(height, width);
  input_ = {in, block.in_channels_, bottleneck ? std::size_t{1} : std::size_t{3}, first_stride};
  skipped_ = {in, block.in_channels_, 1, block.stride_};
  const FrameLayout middle = bottleneck ? in : output_;
  mid_ = {{middle.height, middle.width, 1, 0},
          block.mid_channels_,
          3,
          bottleneck ? block.stride_ : std::size_t{1}};
  narrow_ = {{output_.height, output_.width, 0, channel_pitch(block.mid_channels_)},
             block.mid_channels_,
             1,
             1};
}

Neighbours ResidualPass::neighbours(std::size_t row) const {
  return {row % frames_ != 0, (row + 1) % frames_ != 0};
}

const StepList& ResidualPass::shifted(const std::array<StepList, 4>& lists, std::size_t row) const {
  const Neighbours near = neighbours(row);
  return lists[(near.previous ? 1 : 0) + (near.next ? 2 : 0)];
}

void ResidualPass::prepare() {
  scratch_.channels.resize(std::max(scratch_.channels.size(), rows_));
  scratch_.reads.resize(std::max(scratch_.reads.size(), rows_));
  std::size_t most = 0;
  for (std::size_t row = 0; row < rows_; ++row) {
    scratch_.channels[row].assign(policy_, row, block_.mid_channels_);
    most = std::max(most, scratch_.channels[row].size());
  }
  mid_.layout.pitch = channel_pitch(most);
  y_ = scratch_.y.reserve(rows_ * mid_.layout.frame_pitch() + kWidestVector);
  for (std::size_t row = 0; row < rows_; ++row) {
    const CompactChannels* previous =
        neighbours(row).previous ? &scratch_.channels[row - 1] : nullptr;
    scratch_.reads[row].assign(mid_, scratch_.channels[row], previous, kernel_.panel_width());
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const Neighbours near{(i & 1) != 0, (i & 2) != 0};
    scratch_.first_steps[i].assign(input_, block_.shift_, near, kernel_.panel_width());
    if (block_.shortcut_) {
      scratch_.skip_steps[i].assign(skipped_, block_.shift_, near, kernel_.panel_width());
    }
  }
  scratch_.narrow_steps.assign(narrow_, {}, {false, false}, kernel_.panel_width());
}

void ResidualPass::compute(const Source* sources, std::size_t count, const Target& target,
                           Rows rows, std::size_t channels, std::size_t panel_begin,
                           std::size_t panel_end) const {
  std::vector<PixelTile>& tiles = task_scratch.tiles;
  tiles.clear();
  append_tiles(tiles, kernel_, rows.begin, rows.end, target.layout.width);

  const auto run = [&](std::size_t panel, std::size_t index) {
    const PixelTile& tile = tiles[index];
    const std::size_t first_channel = panel * kernel_.panel_width();
    Segment segments[2];
    for (std::size_t i = 0; i < count; ++i) {
      const Source& source = sources[i];
      const InputShape& shape = source.shape;
      const std::size_t pad = shape.pad();
      const auto pixel = [&](const PixelTile::Position& at) {
        const auto position = [&](std::size_t p) {
          return static_cast<std::ptrdiff_t>(p * shape.stride) - static_cast<std::ptrdiff_t>(pad);
        };
        return reinterpret_cast<const char*>(
            source.frame + shape.layout.offset(position(at.y - source.first_row), position(at.x)));
      };
      // Rows of the kernel that lie in the border for every group add nothing.
      std::size_t begin = shape.kernel, end = 0;
      for (const PixelTile::Position& at : tile.at) {
        const std::size_t y = at.y * shape.stride;
        begin = std::min(begin, y < pad ? pad - y : 0);
        end = std::max(end, std::min(shape.kernel, shape.layout.height + pad - y));
      }
      const PixelTile& next = tiles[std::min(index + 1, tiles.size() - 1)];
      segments[i] = {{pixel(tile.at[0]), pixel(tile.at[1])},
                     static_cast<std::ptrdiff_t>(shape.stride * shape.layout.pitch * sizeof(float)),
                     source.weights != nullptr ? source.weights->panel(panel) : source.gathered,
                     source.steps.begin(begin),
                     source.steps.depth(begin, end),
                     source.prefetches ? pixel(next.at[0]) : nullptr};
      if (source.gathered != nullptr) {
        segments[i].weights += (panel - panel_begin) * shape.taps() * shape.channels *
                               kernel_.panel_width() * sizeof(float);
      }
    }
    const auto place = [&](const PixelTile::Position& at) {
      return target.layout.offset(static_cast<std::ptrdiff_t>(at.y - target.first_row),
                                  static_cast<std::ptrdiff_t>(at.x)) +
             first_channel;
    };
    const std::ptrdiff_t pitch = static_cast<std::ptrdiff_t>(target.layout.pitch);
    TileOutput output{};
    output.pixel_stride = output.residual_stride = pitch;
    for (std::size_t g = 0; g < kMaxGroups; ++g) {
      output.groups[g] = target.frame + place(tile.at[g]);
      output.residual[g] =
          target.residual == nullptr ? nullptr : target.residual + place(tile.at[g]);
    }
    output.sums = target.sums == nullptr ? nullptr : target.sums + first_channel;
    const std::size_t left = std::min(channels - first_channel, kernel_.panel_width());
    kernel_.run({tile.pixels, tile.groups, left}, segments, count, target.bias + first_channel,
                output);
  };

  std::size_t weight_bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    weight_bytes += sources[i].shape.taps() * sources[i].shape.channels * sizeof(float) * channels;
  }
  if (weight_bytes > kWeightBytes) {
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
        run(panel, tile);
      }
    }
  } else {
    for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
      for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
        run(panel, tile);
      }
    }
  }
}

void ResidualPass::first_stage(std::size_t row, Rows rows, std::size_t panel_begin,
                               std::size_t panel_end) const {
  const CompactChannels& channels = scratch_.channels[row];
  const std::size_t width = kernel_.panel_width();
  panel_end = std::min(panel_end, ceil_div(channels.size(), width));
  if (panel_begin == 0) {
    mid_.layout.clear_border(y(row), rows.begin, rows.end);
  }
  if (panel_begin >= panel_end) {
    return;
  }
  const RowWeights& weights = block_.conv1_;
  const std::size_t panel_floats = input_.taps() * input_.channels * width;
  // A gather writes whole vectors of rows.
  float* const panels =
      task_scratch.panels.reserve((panel_end - panel_begin) * panel_floats + kWidestVector * width);
  float* const bias = task_scratch.bias.reserve(panel_end * width);
  task_scratch.gathered.assign(width, weights.zeros());
  for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
    const std::size_t first = panel * width;
    const std::size_t count = std::min(width, channels.size() - first);
    for (std::size_t i = 0; i < width; ++i) {
      const bool used = i < count;
      task_scratch.gathered[i] = used ? weights.row(channels[first + i]) : weights.zeros();
      bias[first + i] = used ? block_.bias1_.data()[channels[first + i]] : 0.0f;
    }
    kernel_.gather(task_scratch.gathered.data(), count, weights.depth(),
                   panels + (panel - panel_begin) * panel_floats);
  }
  const Source source{x(row),
                      input_,
                      shifted(scratch_.first_steps, row),
                      nullptr,
                      reinterpret_cast<const char*>(panels),
                      0,
                      input_.kernel == 1};
  compute(&source, 1, {y(row), mid_.layout, 0, bias, nullptr, nullptr}, rows, channels.size(),
          panel_begin, panel_end);
}

void ResidualPass::second_stage(std::size_t row, Rows rows, std::size_t panel_begin,
                                std::size_t panel_end, float* z, std::size_t z_first_row) const {
  const Source source{y(row), mid_, scratch_.reads[row], &block_.conv2_, nullptr, 0, false};
  compute(&source, 1, {z, narrow_.layout, z_first_row, block_.bias2_.data(), nullptr, nullptr},
          rows, block_.mid_channels_, panel_begin, panel_end);
}

void ResidualPass::last_stage(std::size_t row, Rows rows, std::size_t panel_begin,
                              std::size_t panel_end, const float* z, std::size_t z_first_row,
                              float* sums) const {
  const Source first =
      block_.is_bottleneck()
          ? Source{z, narrow_, scratch_.narrow_steps, &*block_.conv3_, nullptr, z_first_row, false}
          : Source{y(row), mid_, scratch_.reads[row], &block_.conv2_, nullptr, 0, false};
  const bool projects = block_.shortcut_.has_value();
  const Source sources[2] = {first,
                             projects ? Source{x(row), skipped_, shifted(scratch_.skip_steps, row),
                                               &*block_.shortcut_, nullptr, 0, false}
                                      : first};
  float* const output = tensors_.output + row * output_.frame_pitch();
  if (panel_begin == 0) {
    output_.clear_border(output, rows.begin, rows.end);
  }
  compute(sources, projects ? 2 : 1,
          {output, output_, 0, block_.bias3_.data(), projects ? nullptr : x(row), sums}, rows,
          block_.out_channels_, panel_begin, panel_end);
}

void ResidualPass::run_strips(const ParallelFor& parallel_for) {
  const std::size_t parts =
      std::clamp(ceil_div(kEnoughTasks, rows_), std::size_t{1}, output_.height);
  sums_ = scratch_.sums.reserve(parts * rows_ * sums_pitch_);
  const auto part_of = [parts](std::size_t height, std::size_t part) {
    return Rows{height * part / parts, height * (part + 1) / parts};
  };
  const std::size_t all = static_cast<std::size_t>(-1);
  parallel_for(rows_ * parts, [&](std::size_t task) {
    first_stage(task / parts, part_of(mid_.layout.height, task % parts), 0, all);
  });
  const std::size_t z_row = narrow_.layout.row_pitch();
  const std::size_t strip = std::max<std::size_t>(1, kNarrowStripFloats / z_row);
  parallel_for(rows_ * parts, [&](std::size_t task) {
    const std::size_t row = task / parts;
    const Rows part = part_of(output_.height, task % parts);
    float* const total = sums(task % parts, row);
    std::fill_n(total, sums_pitch_, 0.0f);
    if (!block_.is_bottleneck()) {
      last_stage(row, part, 0, block_.conv2_.panels(), nullptr, 0, total);
      return;
    }
    float* const z = task_scratch.z.reserve(strip * z_row + kWidestVector);
    for (std::size_t begin = part.begin; begin < part.end; begin += strip) {
      const Rows rows{begin, std::min(begin + strip, part.end)};
      second_stage(row, rows, 0, block_.conv2_.panels(), z, begin);
      last_stage(row, rows, 0, block_.conv3_->panels(), z, begin, total);
    }
  });
  pool(parts);
}

void ResidualPass::run_panels(const ParallelFor& parallel_for) {
  sums_ = scratch_.sums.reserve(rows_ * sums_pitch_);
  const std::size_t first_panels = ceil_div(block_.mid_channels_, kernel_.panel_width());
  parallel_for(rows_ * first_panels, [&](std::size_t task) {
    const std::size_t panel = task % first_panels;
    first_stage(task / first_panels, {0, mid_.layout.height}, panel, panel + 1);
  });
  // A task runs one panel over some rows, so that its weights stay in cache.
  const auto over_panels = [&](std::size_t panels, const auto& stage) {
    const std::size_t chunks = std::clamp(ceil_div(kEnoughTasks, panels), std::size_t{1}, rows_);
    parallel_for(panels * chunks, [&](std::size_t task) {
      const std::size_t panel = task / chunks, chunk = task % chunks;
      for (std::size_t row = rows_ * chunk / chunks; row < rows_ * (chunk + 1) / chunks; ++row) {
        stage(row, panel);
      }
    });
  };
  const Rows whole{0, output_.height};
  const std::size_t frame = narrow_.layout.frame_pitch();
  float* z = nullptr;
  if (block_.is_bottleneck()) {
    z = scratch_.z.reserve(rows_ * frame + kWidestVector);
    over_panels(block_.conv2_.panels(), [&](std::size_t row, std::size_t panel) {
      second_stage(row, whole, panel, panel + 1, z + row * frame, 0);
    });
  }
  const PanelWeights& last = block_.is_bottleneck() ? *block_.conv3_ : block_.conv2_;
  over_panels(last.panels(), [&](std::size_t row, std::size_t panel) {
    std::fill_n(sums(0, row) + panel * kernel_.panel_width(), kernel_.panel_width(), 0.0f);
    last_stage(row, whole, panel, panel + 1, z + row * frame, 0, sums(0, row));
  });
  pool(1);
}

void ResidualPass::pool(std::size_t slots) const {
  const float pixels = static_cast<float>(output_.height * output_.width);
  for (std::size_t row = 0; row < rows_; ++row) {
    for (std::size_t channel = 0; channel < block_.out_channels_; ++channel) {
      float total = 0;
      for (std::size_t slot = 0; slot < slots; ++slot) {
        total += sums(slot, row)[channel];
      }
      tensors_.pooled[row * block_.out_channels_ + channel] = total / pixels;
    }
  }
}

void ResidualPass::run(const ParallelFor& parallel_for) {
  prepare();
  if (block_.shortcut_ && tensors_.input == tensors_.output) {
    // A shortcut convolution reads neighbouring frames after the output is begun.
    const std::size_t size = rows_ * input_.layout.frame_pitch();
    float* const copy = scratch_.input.reserve(size);
    std::copy_n(tensors_.input, size, copy);
    x_ = copy;
  }
  if (output_.height * output_.width < kSmallPlane) {
    run_panels(parallel_for);
  } else {
    run_strips(parallel_for);
  }
}

}  // namespace adafuse
