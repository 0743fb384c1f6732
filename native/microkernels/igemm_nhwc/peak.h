// The most a thread multiplies and adds with our inner loops.
#pragma once

#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse {

// 10^9 multiply-accumulates a second with everything in the first-level cache: the best of some
// measurements, which take a tenth of a second together.
double peak_gmacs(const IgemmKernel& kernel);

}  // namespace adafuse
