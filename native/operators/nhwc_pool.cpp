#include "operators/nhwc_pool.h"

#include <algorithm>
#include <vector>

#include "layout/compact_nhwc.h"
#include "operators/cut.h"
#include "operators/stem.h"

namespace adafuse {
namespace {

// Places [begin, begin + count) of a frame, whole K groups, and the place of their pooled values.
struct Run {
  const char* frame;
  std::size_t begin, count, place;
};

// The lists of a run, whose capacity is kept for the next one.
struct PoolLists {
  CompactNhwc input, output;
};

template <typename Value>
void copy_in_order(const char* from, const std::uint32_t* order, std::size_t count, char* to) {
  for (std::size_t i = 0; i < count; ++i) {
    reinterpret_cast<Value*>(to)[i] = reinterpret_cast<const Value*>(from)[order[i]];
  }
}

}  // namespace

std::size_t NhwcPool::output_size(std::size_t input) const {
  return stride == 1 ? input + 2 * pad - std::min(input + 2 * pad, kPoolWindow - 1)
                     : StemPool{pad, ceil}.output_size(input);
}

void pool_nhwc(const NhwcPool& pool, std::size_t frames, std::size_t height, std::size_t width,
               std::size_t channels, const NhwcPoolTensors& tensors,
               const ParallelFor& parallel_for, Workspaces& workspaces) {
  const Precision precision = pool.kernel->precision;
  const std::size_t value = value_bytes(precision), k_values = kr(precision);
  const float factor = pool.scales.input / pool.scales.output;
  const bool mean = pool.kind == NhwcPool::Kind::kMean;
  const auto copy = value == 4   ? copy_in_order<std::uint32_t>
                    : value == 2 ? copy_in_order<std::uint16_t>
                                 : copy_in_order<std::uint8_t>;
  const Pool3x3Kernel& pool_kernel = pool3x3_kernel(precision, pool.kernel->instruction_set);
  const ListPool::Lease<PoolLists> lists(workspaces.lists);
  CompactNhwc& stored_input = (*lists).input;
  CompactNhwc& stored_output = (*lists).output;
  const bool reorders = tensors.output_policy != nullptr;
  stored_input.assign(tensors.policy, frames, channels, {height, width, pool.input_border, 0});
  stored_output.assign(reorders ? tensors.output_policy : tensors.policy, frames, channels,
                       {pool.output_size(height), pool.output_size(width), pool.border, 0});
  CompactNhwc::order({&stored_input, &stored_output}, precision, parallel_for);
  const NhwcLayout& from = stored_input.layout();
  const NhwcLayout& to = stored_output.layout();
  if (checked_product({frames, to.height, to.width}) == 0) {
    return;
  }
  const std::size_t parts =
      std::clamp((kEnoughTasks + frames - 1) / frames, std::size_t{1}, to.height);
  const std::size_t pitch = round_up(channels, k_values) + kLine / sizeof(float);
  ArenaSize size, task_size;
  size.add<float>(frames * parts * pitch);
  // Places of a pooled pixel at most: a frame's own and lent channels, rounded up to kLine places
  // each, and a zero behind them.
  const std::size_t most_places = 2 * round_up(channels + k_values, kLine) + 1;
  const std::size_t most_pixel = round_up(most_places * value, kGroupBytes);
  if (reorders) {
    task_size.add<std::uint32_t>(channels);
    task_size.add<std::uint32_t>(round_up(channels, k_values));
    task_size.add<float>(most_places);
    task_size.add_bytes(to.width * most_pixel);
  }
  Arena memory(workspaces.runs, size);
  float* const partials = memory.take<float>(frames * parts * pitch);
  parallel_for(frames * parts, [&](std::size_t task) {
    const std::size_t frame = task / parts, part = task % parts;
    const std::size_t begin = to.height * part / parts, end = to.height * (part + 1) / parts;
    char* const to_frame = tensors.output + stored_output.offset(frame);
    to.clear_border(to_frame, begin, end);

    // Channels that are pooled: all stored ones in their order, or those this frame sees.
    const ChannelOrder& own = stored_input[frame];
    const ChannelOrder* const lender = reorders ? stored_input.previous(frame) : nullptr;
    const std::size_t stored = reorders ? own.kept() : own.size();
    const std::size_t lent = lender == nullptr ? 0 : lender->lent_begin() / k_values * k_values;
    const char* const source = tensors.input + stored_input.offset(frame);
    // Pooling writes whole vectors, of cache lines at most.
    const std::size_t second = round_up(stored, kLine);
    const Run runs[2] = {
        {source, 0, round_up(stored, k_values), 0},
        {source - from.frame_pitch(), lent,
         lender == nullptr ? 0 : round_up(lender->size() - lent, k_values), second}};
    // The place of a zero, which stands for channels that the frame does not show.
    const std::size_t zero = second + round_up(runs[1].count, kLine);
    const ChannelOrder& wanted = stored_output[frame];
    Arena scratch(workspaces.tasks, task_size);
    std::uint32_t* order = nullptr;  // of the output's channels in a pooled pixel
    const std::size_t ordered = round_up(wanted.size(), k_values);
    float* const total = partials + task * pitch;
    float* seen = total;  // sums of pooled values, by place
    const std::size_t pixel_bytes = round_up((zero + 1) * value, kGroupBytes);
    char* pixels = nullptr;  // a row of pooled pixels, before their channels are reordered
    if (reorders) {
      std::uint32_t* const position = scratch.take<std::uint32_t>(channels);  // of a channel
      std::fill_n(position, channels, static_cast<std::uint32_t>(zero));
      for (std::size_t place = 0; place < own.kept(); ++place) {
        position[own[place]] = static_cast<std::uint32_t>(place);
      }
      for (std::size_t place = lender == nullptr ? 0 : lender->lent_begin();
           lender != nullptr && place < lender->size(); ++place) {
        position[(*lender)[place]] = static_cast<std::uint32_t>(second + place - lent);
      }
      order = scratch.take<std::uint32_t>(ordered);
      std::fill_n(order, ordered, static_cast<std::uint32_t>(zero));
      for (std::size_t place = 0; place < wanted.size(); ++place) {
        order[place] = position[wanted[place]];
      }
      seen = scratch.take<float>(zero + 1);
      pixels = scratch.take_bytes(to.width * pixel_bytes);
      for (std::size_t x = 0; x < to.width; ++x) {
        std::memset(pixels + x * pixel_bytes + zero * value, 0, value);
      }
    }
    std::fill_n(seen, reorders ? zero + 1 : pitch, 0.0f);

    for (std::size_t y = begin; y < end; ++y) {
      char* const result = to_frame + to.offset(static_cast<std::ptrdiff_t>(y), 0);
      for (const Run& run : runs) {
        PoolRow pooled{mean,
                       pool.stride,
                       pool.pad,
                       {},
                       static_cast<std::ptrdiff_t>(from.pitch),
                       width,
                       run.count,
                       reorders ? pixels + run.place * value : result,
                       static_cast<std::ptrdiff_t>(reorders ? pixel_bytes : to.pitch),
                       to.width,
                       mean ? factor / (kPoolWindow * kPoolWindow) : factor,
                       seen + run.place};
        for (std::size_t k = 0; k < kPoolWindow; ++k) {
          const std::size_t from_y =
              y * pool.stride + k - pool.pad;  // above the frame: wraps round, beyond its height
          pooled.rows[k] = from_y < height ? run.frame + run.begin * value +
                                                 from.offset(static_cast<std::ptrdiff_t>(from_y), 0)
                                           : nullptr;
        }
        pool_kernel.run(pooled);
      }
      for (std::size_t x = 0; reorders && x < to.width; ++x) {
        copy(pixels + x * pixel_bytes, order, ordered, result + x * to.pitch);
      }
    }
    for (std::size_t place = 0; reorders && place < wanted.size(); ++place) {
      total[place] = seen[order[place]];
    }
  });
  const float scale = pool.scales.output / static_cast<float>(to.height * to.width);
  stored_output.fuse_means(
      [&](std::size_t frame, std::size_t place) {
        float total = 0;
        for (std::size_t part = 0; part < parts; ++part) {
          total += partials[(frame * parts + part) * pitch + place];
        }
        return total * scale;
      },
      tensors.pooled);
}

}  // namespace adafuse
