#include "operators/residual_plan.h"

#include <algorithm>

#include "microkernels/winograd/winograd.h"
#include "operators/cut.h"

namespace adafuse {

ResidualPlan::ResidualPlan(const ResidualBlock& of, std::size_t frame_count,
                           std::size_t frames_per_clip, std::size_t height, std::size_t width,
                           const Policy* policy, const std::int32_t* missing, ResidualLists& of_run)
    : block(of),
      kernel(of.kernel_),
      frames(frame_count),
      output(of.output_layout(height, width)),
      lists(of_run),
      orders(of_run.orders),
      conv2_inputs(of_run.conv2_inputs),
      partials_pitch(round_up(of.out_channels_, kernel.nr) + kLine / sizeof(float)),
      strip_step(of.winograd1_ || of.winograd2_ ? kWinogradOutput : 1),
      frames_per_clip_(frames_per_clip),
      streams_(missing != nullptr) {
  const bool bottleneck = of.is_bottleneck();
  const NhwcLayout in = of.input_layout(height, width);
  const NhwcLayout middle = bottleneck ? in : output;
  const std::size_t mid = of.mid_channels_;
  conv1 = {in, of.in_channels_, bottleneck ? std::size_t{1} : std::size_t{3},
           bottleneck ? std::size_t{1} : of.stride_};
  conv2 = {{middle.height, middle.width, 1, 0}, mid, 3, bottleneck ? of.stride_ : std::size_t{1}};
  const std::size_t narrow = of.conv2_channels_;
  conv3 = {{output.height, output.width, 0, channel_pitch(narrow, kernel.precision)}, narrow, 1, 1};
  shortcut = {in, of.in_channels_, 1, of.stride_};
  // A single frame may come to very few strips.
  const bool few = frames * ceil_div(output.height, strip_step) < kFewTasks;
  by_panels = few || output.height * output.width < kSmallPlane;
  slots = by_panels ? 1
                    : std::clamp(ceil_div(kEnoughTasks, conv1_frames()), std::size_t{1},
                                 ceil_div(output.height, strip_step));

  lists.orders.resize(std::max(lists.orders.size(), conv1_frames()));
  lists.conv2_inputs.assign(frames, conv2);
  if (streams_) {
    order_streams(*policy, missing);
  } else {
    order_clips(policy);
  }
  const bool shifts = of.shift_.from_next + of.shift_.from_previous > 0;
  for (std::size_t i = 0; i < (shifts ? lists.conv1_entries.size() : 1); ++i) {
    const Neighbours near{(i & 1) != 0, (i & 2) != 0};
    lists.conv1_entries[i].assign(conv1, kernel, of.shift_, near);
    if (of.shortcut_) {
      lists.shortcut_entries[i].assign(shortcut, kernel, of.shortcut_shift_, near);
    }
  }
  lists.conv3_entries.assign(conv3, kernel, {}, {false, false});
}

const KIndirection& ResidualPlan::of_neighbours(const OfNeighbours& of, std::size_t frame) const {
  if (block.shift_.from_next + block.shift_.from_previous == 0) {
    return of[0];
  }
  const Neighbours near = neighbours(frame);
  return of[(near.previous ? 1 : 0) + (near.next ? 2 : 0)];
}

void ResidualPlan::order_clips(const Policy* policy) {
  std::size_t most = 0;
  for (std::size_t frame = 0; frame < frames; ++frame) {
    lists.orders[frame].assign(policy, frame, block.mid_channels_);
    most = std::max(most, orders[frame].size());
  }
  const NhwcLayout layout = mid_layout(most, 0);
  for (InputShape& input : lists.conv2_inputs) {
    input.layout = layout;
  }
  mid_bytes = layout.frame_pitch();
}

void ResidualPlan::order_streams(const Policy& policy, const std::int32_t* missing) {
  const std::size_t channels = block.mid_channels_;
  for (std::size_t frame = 0; frame < frames; ++frame) {
    ChannelOrder& reused = lists.orders[frames + frame];
    lists.orders[frame].assign(&policy, frame, channels);
    reused.assign_reused(policy, frame, missing + frame * channels);
    lists.conv2_inputs[frame].layout = mid_layout(orders[frame].size(), reused.size());
  }
  mid_bytes = block.history_layout(conv1.layout.height, conv1.layout.width).frame_pitch();
}

ResidualPlan::Lent ResidualPlan::lent(std::size_t frame) const {
  if (streams_) {
    return {&orders[frames + frame],
            static_cast<std::ptrdiff_t>(reused_offset(orders[frame].size(), kernel.precision))};
  }
  return {neighbours(frame).previous ? &orders[frame - 1] : nullptr,
          -static_cast<std::ptrdiff_t>(mid_bytes)};
}

std::size_t ResidualPlan::conv1_panels(std::size_t conv1_frame) const {
  return ceil_div(orders[conv1_frame].computed(), kernel.nr);
}

NhwcLayout ResidualPlan::mid_layout(std::size_t own, std::size_t reused) const {
  NhwcLayout layout = conv2.layout;
  layout.pitch =
      pixel_pitch(reused_offset(own, kernel.precision) + reused * value_bytes(kernel.precision));
  return layout;
}

}  // namespace adafuse
