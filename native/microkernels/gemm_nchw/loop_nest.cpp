#include "microkernels/gemm_nchw/loop_nest.h"

#include <algorithm>
#include <cstdint>

#include "microkernels/gemm_nchw/im2col.h"

namespace adafuse {
namespace {

// A tile, the work of one task: some output channels of one frame at some consecutive pixels.  Its
// packed pixels (kDepth x kTilePixels floats) fit a second-level cache.
constexpr std::size_t kDepth = 256;
constexpr std::size_t kTilePixels = 256;
constexpr std::size_t kTileChannels = 512;
// Every tile packs its pixels anew, so tiles get fewer channels only to occupy more threads.
constexpr std::size_t kMinTileChannels = 64;
constexpr std::size_t kEnoughTiles = 16;

// Output pixels that one tile covers; the same cut serves all frames.
struct Strip {
  std::size_t first_pixel;
  std::size_t pixels;
  Im2colPacker packer;
};

// A tile to compute; see GemmTile.
struct Task {
  std::size_t frame;
  const Strip* strip;
  ChannelList channels;
  bool is_first;
};

std::vector<Strip> make_strips(const ConvShape& shape, const GemmKernel& kernel) {
  const std::size_t plane = shape.out_plane();
  const std::size_t even = ceil_div(plane, ceil_div(plane, kTilePixels));
  const std::size_t size = ceil_div(even, kernel.nr_step) * kernel.nr_step;
  std::vector<Strip> strips;
  for (std::size_t first = 0; first < plane; first += size) {
    const std::size_t pixels = std::min(size, plane - first);
    strips.push_back(
        {first, pixels, Im2colPacker(shape, first, pixels, kernel.nr, kernel.nr_step)});
  }
  return strips;
}

std::vector<Task> make_tasks(const ConvShape& shape, const std::vector<Strip>& strips,
                             const std::vector<ConvFrame>& frames) {
  const std::size_t wanted = ceil_div(kEnoughTiles, frames.size() * strips.size());
  const std::size_t most =
      std::clamp(ceil_div(shape.out_channels, wanted), kMinTileChannels, kTileChannels);
  std::vector<Task> tasks;
  for (std::size_t frame = 0; frame < frames.size(); ++frame) {
    const ChannelList channels = frames[frame].computed;
    const std::size_t blocks = std::max<std::size_t>(1, ceil_div(channels.size, most));
    for (const Strip& strip : strips) {
      for (std::size_t block = 0; block < blocks; ++block) {
        const std::size_t begin = channels.size * block / blocks;
        const std::size_t end = channels.size * (block + 1) / blocks;
        tasks.push_back({frame, &strip, {channels.data + begin, end - begin}, block == 0});
      }
    }
  }
  return tasks;
}

// Input channels that are packed at a time.
std::size_t input_block(const ConvShape& shape) {
  return std::max<std::size_t>(1, kDepth / shape.taps());
}

// Memory of the largest task.
ArenaSize task_size(const ConvShape& shape, const std::vector<Task>& tasks) {
  std::size_t accumulators = 0, width = 0, border = 0;
  for (const Task& task : tasks) {
    const Im2colPacker& packer = task.strip->packer;
    accumulators = std::max(accumulators, task.channels.size * packer.total_width());
    width = std::max(width, packer.total_width());
    border = std::max(border, packer.border_floats());
  }
  const std::size_t depth = input_block(shape) * shape.taps();
  ArenaSize size;
  size.add<float>(accumulators);
  size.add<float>(depth * width);
  size.add<float>(border);
  size.add<std::uint32_t>(depth);
  return size;
}

// Computes the convolution of a task's channels into accumulators (channels, the packer's total
// width).
void convolve(const ConvShape& shape, const float* weight, const float* bias,
              const ConvFrame& frame, const GemmKernel& kernel, const Task& task,
              float* accumulators, Arena& scratch) {
  const Im2colPacker& packer = task.strip->packer;
  const ChannelList inputs = frame.read;
  const std::size_t width = packer.total_width();
  const std::size_t taps = shape.taps();
  const std::size_t block = input_block(shape);

  float* packed = scratch.take<float>(block * taps * width);
  float* border = scratch.take<float>(packer.border_floats());
  std::fill_n(border, packer.border_floats(), 0.0f);
  std::uint32_t* offsets = scratch.take<std::uint32_t>(block * taps);

  for (std::size_t i = 0; i < task.channels.size; ++i) {
    std::fill_n(accumulators + i * width, width, bias[task.channels.data[i]]);
  }
  for (std::size_t done = 0; done < inputs.size; done += block) {
    const std::size_t channels = std::min(block, inputs.size - done);
    const std::size_t depth = channels * taps;
    for (std::size_t i = 0; i < channels; ++i) {
      const std::uint32_t channel = inputs.data[done + i];
      packer.pack(frame.input + channel * shape.in_plane(), i * taps, depth, border, packed);
      for (std::size_t tap = 0; tap < taps; ++tap) {
        offsets[i * taps + tap] = static_cast<std::uint32_t>(channel * taps + tap);
      }
    }
    for (std::size_t first = 0; first < task.channels.size; first += kernel.mr) {
      const std::size_t rows = std::min(kernel.mr, task.channels.size - first);
      const float* weights[kMaxGemmMr];
      for (std::size_t r = 0; r < rows; ++r) {
        weights[r] = weight + task.channels.data[first + r] * shape.in_channels * taps;
      }
      float* tile = accumulators + first * width;
      for (std::size_t panel = 0; panel < packer.panels(); ++panel) {
        kernel.run(rows, packer.width(panel), depth, weights, offsets,
                   packed + packer.begin(panel, depth), tile, width);
        tile += packer.width(panel);
      }
    }
  }
}

}  // namespace

void convolve_nchw(const ConvShape& shape, const float* weight, const float* bias,
                   const std::vector<ConvFrame>& frames, const ParallelFor& parallel_for,
                   const GemmKernel& kernel, Workspaces& workspaces,
                   const std::function<void(const GemmTile&)>& finish) {
  if (frames.empty() || shape.out_channels == 0) {
    return;
  }
  const std::vector<Strip> strips = make_strips(shape, kernel);
  const std::vector<Task> tasks = make_tasks(shape, strips, frames);
  const ArenaSize size = task_size(shape, tasks);
  parallel_for(tasks.size(), [&](std::size_t i) {
    const Task& task = tasks[i];
    const Strip& strip = *task.strip;
    const std::size_t width = strip.packer.total_width();
    Arena scratch(workspaces.tasks, size);
    float* accumulators = scratch.take<float>(task.channels.size * width);
    if (task.channels.size > 0) {
      convolve(shape, weight, bias, frames[task.frame], kernel, task, accumulators, scratch);
    }
    finish({task.frame, strip.first_pixel, strip.pixels, task.channels, task.is_first, accumulators,
            width});
  });
}

}  // namespace adafuse
