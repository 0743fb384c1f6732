// Running a plan of a residual block: how the work is cut into tasks.
#pragma once

#include "base/parallel_for.h"
#include "operators/residual_stages.h"

namespace adafuse {

// Runs the stages by strips or panels, as the plan says.
void run_strips(ResidualStages& stages, const ParallelFor& parallel_for);
void run_panels(ResidualStages& stages, const ParallelFor& parallel_for);

}  // namespace adafuse
