// Choosing among the variants of a micro-kernel family.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include "base/processor.h"

namespace adafuse {

// The kernels of `all` that this processor can run, in their order.
template <typename Kernel>
std::vector<const Kernel*> usable(std::initializer_list<const Kernel*> all) {
  std::vector<const Kernel*> result;
  for (const Kernel* kernel : all) {
    if (supports(kernel->instruction_set)) {
      result.push_back(kernel);
    }
  }
  return result;
}

// The best kernel of `all`, which are ordered from best to worst, whose instruction set is not
// better than `most`.
template <typename Kernel>
const Kernel& best_within(InstructionSet most, const std::vector<const Kernel*>& all) {
  for (const Kernel* kernel : all) {
    if (kernel->instruction_set >= most) {
      return *kernel;
    }
  }
  throw std::logic_error("a family of micro-kernels has no baseline");
}

}  // namespace adafuse
