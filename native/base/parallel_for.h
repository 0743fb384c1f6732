// How kernels spread work, whatever runs it.
#pragma once

#include <cstddef>
#include <functional>

namespace adafuse {

// Calls body(0) ... body(count - 1), in any order and from any threads.
using ParallelFor =
    std::function<void(std::size_t count, const std::function<void(std::size_t)>& body)>;

}  // namespace adafuse
