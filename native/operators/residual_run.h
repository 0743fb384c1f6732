// The runs of a residual block's plan: the cut of its stages into tasks.
#pragma once

#include "base/parallel_for.h"
#include "operators/residual_stages.h"

namespace adafuse {

// Run all stages, cut into strips of rows or into panels of output channels; the plan says which.
void run_strips(ResidualStages& stages, const ParallelFor& parallel_for);
void run_panels(ResidualStages& stages, const ParallelFor& parallel_for);

}  // namespace adafuse
