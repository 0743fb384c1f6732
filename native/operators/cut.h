// The cut of an operator's work into tasks, by shapes alone, so that results do not depend on
// threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/sizes.h"
#include "microkernels/igemm_nhwc/loop_nest.h"

namespace adafuse {

// Pixels of a frame: with fewer it is cut into panels of output channels, else into strips of rows.
constexpr std::size_t kSmallPlane = 400;
// Tasks: enough for the threads of a usual machine to finish together, and so few that threads
// idle.
constexpr std::size_t kEnoughTasks = 32, kFewTasks = 8;

// Panels [begin, end) of NR output channels.
struct PanelRange {
  std::size_t begin, end;

  std::size_t count() const { return end - begin; }
};

// Rows of part `part` of `parts` of a frame; the rows of a part but the last are a multiple of
// `step`.
inline ImageRows rows_of_part(std::size_t height, std::size_t step, std::size_t part,
                              std::size_t parts) {
  const std::size_t steps = ceil_div(height, step);
  return {std::min(height, steps * part / parts * step),
          std::min(height, steps * (part + 1) / parts * step)};
}

// The most rows that a part has.
inline std::size_t most_rows(std::size_t height, std::size_t step, std::size_t parts) {
  return std::min(height, ceil_div(ceil_div(height, step), parts) * step);
}

}  // namespace adafuse
