#include "operators/residual_run.h"

#include <algorithm>
#include <vector>

#include "operators/cut.h"

namespace adafuse {
namespace {

// Bytes of conv2's result that conv3 reads at a time: half of a usual first-level cache.
constexpr std::size_t kConv3Strip = 16 * 1024;

}  // namespace

void run_strips(ResidualStages& stages, const ParallelFor& parallel_for) {
  const ResidualPlan& plan = stages.plan();
  const std::size_t parts = plan.slots, step = plan.strip_step;
  const std::size_t mid_height = plan.conv2.layout.height, height = plan.output.height;
  const PanelRange conv2_panels{0, stages.conv2_panels()};
  const PanelRange output_panels{0, stages.output_panels()};
  const std::size_t mid_panels = ceil_div(plan.block.mid_channels(), plan.kernel.nr);
  WorkspacePool& tasks = stages.workspaces().tasks;

  ArenaSize conv1_size;
  stages.add_conv1(conv1_size, most_rows(mid_height, step, parts), mid_panels);
  parallel_for(plan.conv1_frames() * parts, [&](std::size_t task) {
    Arena scratch(tasks, conv1_size);
    stages.conv1(task / parts, rows_of_part(mid_height, step, task % parts, parts), {0, mid_panels},
                 scratch);
  });
  stages.finish_conv1(parallel_for);

  const std::size_t z_row = plan.conv3.layout.row_pitch();
  const std::size_t rows_of_z = std::max<std::size_t>(1, kConv3Strip / z_row);
  const auto strip_of = [&](std::size_t frame) {
    return stages.winograd2() ? stages.winograd_rows(frame) : rows_of_z;
  };
  const std::size_t task_rows = most_rows(height, step, parts);
  ArenaSize size;
  stages.add_pack_conv2(size, conv2_panels.count());
  stages.add_stage(size, task_rows);
  if (stages.has_conv3()) {
    std::size_t most = 0;
    for (std::size_t frame = 0; frame < plan.frames; ++frame) {
      most = std::max(most, std::min(strip_of(frame), task_rows));
    }
    size.add_bytes(most * z_row + kLine);
  }
  // In reverse order: conv1's last frames are still in cache, and the frames that are finished last
  // are those with which the next block begins.
  parallel_for(plan.frames * parts, [&](std::size_t index) {
    const std::size_t task = plan.frames * parts - 1 - index;
    const std::size_t frame = task / parts;
    const ImageRows part = rows_of_part(height, step, task % parts, parts);
    Arena scratch(tasks, size);
    float* const partials = stages.partials(task % parts, frame);
    std::fill_n(partials, plan.partials_pitch, 0.0f);
    const BPanels weights = stages.pack_conv2(frame, conv2_panels, scratch);
    stages.clear_output_border(frame, part);
    if (!stages.has_conv3()) {
      stages.last_conv2(frame, weights, part, conv2_panels, partials, scratch);
      return;
    }
    const std::size_t strip = strip_of(frame);
    char* const z = scratch.take_bytes(std::min(strip, task_rows) * z_row + kLine);
    for (std::size_t begin = part.begin; begin < part.end; begin += strip) {
      const ImageRows rows{begin, std::min(begin + strip, part.end)};
      stages.conv2(frame, weights, rows, conv2_panels, z, begin, scratch);
      stages.conv3(frame, rows, output_panels, z, begin, partials, scratch);
    }
  });
  stages.reduce_means(parts);
}

void run_panels(ResidualStages& stages, const ParallelFor& parallel_for) {
  const ResidualPlan& plan = stages.plan();
  WorkspacePool& tasks = stages.workspaces().tasks;
  struct FramePanel {
    std::size_t conv1_frame, panel;
  };
  std::vector<FramePanel> panels;
  for (std::size_t frame = 0; frame < plan.conv1_frames(); ++frame) {
    for (std::size_t i = 0; i < std::max<std::size_t>(1, plan.conv1_panels(frame)); ++i) {
      panels.push_back({frame, i});
    }
  }
  // Few panels are cut into rows too.
  const std::size_t mid_height = plan.conv2.layout.height;
  const std::size_t parts = stages.winograd1() ? 1
                                               : std::clamp(ceil_div(kFewTasks, panels.size()),
                                                            std::size_t{1}, mid_height);
  stages.transform_conv1_input(parallel_for);
  ArenaSize conv1_size;
  stages.add_conv1(conv1_size, most_rows(mid_height, 1, parts), 1);
  parallel_for(panels.size() * parts, [&](std::size_t task) {
    const auto [frame, panel] = panels[task / parts];
    Arena scratch(tasks, conv1_size);
    stages.conv1(frame, rows_of_part(mid_height, 1, task % parts, parts), {panel, panel + 1},
                 scratch);
  });
  stages.finish_conv1(parallel_for);

  // A task runs one panel over some frames, so that its weights stay in cache.
  const auto over_panels = [&](std::size_t count, const auto& stage) {
    const std::size_t chunks =
        std::clamp(ceil_div(kEnoughTasks / 2, count), std::size_t{1}, plan.frames);
    ArenaSize size;
    stages.add_pack_conv2(size, 1);
    stages.add_stage(size, plan.output.height);
    stages.add_conv2_of_frames(size, stages.winograd2() ? ceil_div(plan.frames, chunks) : 0);
    parallel_for(count * chunks, [&](std::size_t task) {
      const std::size_t panel = task / chunks, chunk = task % chunks;
      Arena scratch(tasks, size);
      stage(plan.frames * chunk / chunks, plan.frames * (chunk + 1) / chunks, panel, scratch);
    });
  };
  const ImageRows whole{0, plan.output.height};
  if (stages.has_conv3()) {
    over_panels(stages.conv2_panels(),
                [&](std::size_t first, std::size_t last, std::size_t panel, Arena& scratch) {
                  if (stages.winograd2()) {
                    stages.conv2_of_frames(first, last, panel, scratch);
                    return;
                  }
                  const PanelRange one{panel, panel + 1};
                  for (std::size_t frame = first; frame < last; ++frame) {
                    const std::size_t mark = scratch.mark();
                    stages.conv2(frame, stages.pack_conv2(frame, one, scratch), whole, one,
                                 stages.z(frame), 0, scratch);
                    scratch.rewind(mark);
                  }
                });
  }
  const std::size_t nr = plan.kernel.nr;
  over_panels(stages.output_panels(),
              [&](std::size_t first, std::size_t last, std::size_t panel, Arena& scratch) {
                const PanelRange one{panel, panel + 1};
                for (std::size_t frame = first; frame < last; ++frame) {
                  std::fill_n(stages.partials(0, frame) + panel * nr, nr, 0.0f);
                  if (panel == 0) {
                    stages.clear_output_border(frame, whole);
                  }
                }
                const bool winograd = stages.winograd2() && !stages.has_conv3();
                if (winograd) {
                  stages.conv2_of_frames(first, last, panel, scratch);
                }
                for (std::size_t frame = first; frame < last; ++frame) {
                  const std::size_t mark = scratch.mark();
                  float* const partials = stages.partials(0, frame);
                  if (stages.has_conv3()) {
                    stages.conv3(frame, whole, one, stages.z(frame), 0, partials, scratch);
                  } else if (winograd) {
                    const SpanTimer timer(stages.recording(), Span::kConv2);
                    stages.add_shortcut(frame, whole, one, partials, scratch);
                  } else {
                    stages.last_conv2(frame, stages.pack_conv2(frame, one, scratch), whole, one,
                                      partials, scratch);
                  }
                  scratch.rewind(mark);
                }
              });
  stages.reduce_means(1);
}

}  // namespace adafuse
