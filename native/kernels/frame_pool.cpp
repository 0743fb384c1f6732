#include "kernels/frame_pool.h"

#include <algorithm>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/compact_frames.h"
#include "kernels/pixel_pool.h"
#include "kernels/stem.h"

namespace adafuse {
namespace {

// Enough tasks for the threads of a usual machine to finish together.
constexpr std::size_t kEnoughTasks = 32;

// Places [begin, begin + count) of a frame, whole units.
struct Run {
  const char* frame;
  std::size_t begin, count;
};

struct Shared {
  CompactFrames input, output;
  AlignedArray<float> sums;
};
struct TaskScratch {
  AlignedArray<char> zeros, pixel;
  AlignedArray<float> sums;
  std::vector<std::uint32_t> order;     // of a pooled pixel's values in the output
  std::vector<std::uint32_t> position;  // of a channel in the pooled pixel
};
thread_local Shared own_shared;
thread_local TaskScratch task_scratch;

template <typename Value>
void copy_in_order(const char* from, const std::vector<std::uint32_t>& order, char* to) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    reinterpret_cast<Value*>(to)[i] = reinterpret_cast<const Value*>(from)[order[i]];
  }
}

}  // namespace

std::size_t FramePool::output_size(std::size_t input) const {
  return stride == 1 ? input + 2 * pad - std::min(input + 2 * pad, kPoolWindow - 1)
                     : StemPool{pad, ceil}.output_size(input);
}

void pool_frames(const FramePool& pool, std::size_t rows, std::size_t height, std::size_t width,
                 std::size_t channels, const FramePoolTensors& tensors,
                 const ParallelFor& parallel_for) {
  const Precision precision = pool.precision;
  const std::size_t value = value_bytes(precision), group = per_unit(precision);
  const float factor = pool.scales.input / pool.scales.output;
  Shared& shared = own_shared;
  shared.input.assign(tensors.policy, rows, channels, {height, width, pool.input_border, 0},
                      precision, parallel_for);
  const bool reorders = tensors.output_policy != nullptr;
  shared.output.assign(reorders ? tensors.output_policy : tensors.policy, rows, channels,
                       {pool.output_size(height), pool.output_size(width), pool.border, 0},
                       precision, parallel_for);
  const FrameLayout& from = shared.input.layout();
  const FrameLayout& to = shared.output.layout();
  if (rows * to.height * to.width == 0) {
    return;
  }
  const std::size_t parts = std::clamp((kEnoughTasks + rows - 1) / rows, std::size_t{1}, to.height);
  const std::size_t pitch = round_up(channels, group) + kLine / sizeof(float);
  float* const sums = shared.sums.reserve(rows * parts * pitch);
  parallel_for(rows * parts, [&](std::size_t task) {
    const std::size_t row = task / parts, part = task % parts;
    const std::size_t begin = to.height * part / parts, end = to.height * (part + 1) / parts;
    char* const frame = tensors.output + shared.output.offset(row);
    to.clear_border(frame, begin, end);
    char* const zeros = task_scratch.zeros.reserve(from.pitch);
    std::memset(zeros, 0, from.pitch);

    // What is pooled: all stored channels in their order, or what this frame sees of them.
    const CompactChannels& own = shared.input[row];
    const CompactChannels* const lender = reorders ? shared.input.previous(row) : nullptr;
    const std::size_t stored = reorders ? own.kept() : own.size();
    const std::size_t lent = lender == nullptr ? 0 : lender->lent_begin() / group * group;
    const char* const source = tensors.input + shared.input.offset(row);
    const Run runs[2] = {{source, 0, round_up(stored, group)},
                         {source - from.frame_pitch(), lent,
                          lender == nullptr ? 0 : round_up(lender->size() - lent, group)}};
    const std::size_t values = runs[0].count + runs[1].count;
    std::vector<std::uint32_t>& order = task_scratch.order;
    const CompactChannels& wanted = shared.output[row];
    float* const total = sums + task * pitch;
    float* seen = total;  // sums of what is pooled
    char* pixel = nullptr;
    order.clear();
    if (reorders) {
      std::vector<std::uint32_t>& position = task_scratch.position;
      position.assign(channels, static_cast<std::uint32_t>(values));  // a zero behind the others
      for (std::size_t place = 0; place < own.kept(); ++place) {
        position[own[place]] = static_cast<std::uint32_t>(place);
      }
      for (std::size_t place = lender == nullptr ? 0 : lender->lent_begin();
           lender != nullptr && place < lender->size(); ++place) {
        position[(*lender)[place]] = static_cast<std::uint32_t>(runs[0].count + place - lent);
      }
      for (std::size_t place = 0; place < wanted.size(); ++place) {
        order.push_back(position[wanted[place]]);
      }
      order.resize(round_up(order.size(), group), static_cast<std::uint32_t>(values));
      seen = task_scratch.sums.reserve(values + 1);
      pixel = task_scratch.pixel.reserve((values + 1) * value);
      std::memset(pixel + values * value, 0, value);
    }
    std::fill_n(seen, values + (reorders ? 1 : 0), 0.0f);

    for (std::size_t y = begin; y < end; ++y) {
      for (std::size_t x = 0; x < to.width; ++x) {
        char* const result =
            frame + to.offset(static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x));
        std::size_t done = 0;
        for (const Run& run : runs) {
          const char* pixels[kWindowPixels];
          for (std::size_t k = 0; k < kWindowPixels; ++k) {
            // Wraps round in front of the frame.
            const std::size_t from_y = y * pool.stride + k / kPoolWindow - pool.pad;
            const std::size_t from_x = x * pool.stride + k % kPoolWindow - pool.pad;
            pixels[k] = from_y < height && from_x < width
                            ? run.frame + run.begin * value +
                                  from.offset(static_cast<std::ptrdiff_t>(from_y),
                                              static_cast<std::ptrdiff_t>(from_x))
                            : zeros;
          }
          char* const at = (reorders ? pixel : result) + done * value;
          if (run.count == 0) {
            continue;
          }
          if (pool.kind == FramePool::Kind::kMax) {
            take_largest(precision, pixels, kWindowPixels, run.count, at, seen + done, factor);
          } else {
            take_mean(precision, pixels, run.count, at, seen + done, factor);
          }
          done += run.count;
        }
        if (reorders && group == 1) {
          copy_in_order<std::uint32_t>(pixel, order, result);
        } else if (reorders && group == 4) {
          copy_in_order<std::uint8_t>(pixel, order, result);
        } else if (reorders) {
          copy_in_order<std::uint16_t>(pixel, order, result);
        }
      }
    }
    for (std::size_t place = 0; reorders && place < wanted.size(); ++place) {
      total[place] = seen[order[place]];
    }
  });
  const float scale = pool.scales.output / static_cast<float>(to.height * to.width);
  shared.output.fuse_means(
      [&](std::size_t row, std::size_t place) {
        float total = 0;
        for (std::size_t part = 0; part < parts; ++part) {
          total += sums[(row * parts + part) * pitch + place];
        }
        return total * scale;
      },
      tensors.pooled);
}

}  // namespace adafuse
