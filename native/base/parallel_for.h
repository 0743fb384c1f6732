// ParallelFor: all that kernels know of threads.
#pragma once

#include <cstddef>
#include <functional>

namespace adafuse {

// A parallel loop that the caller provides: calls body(0) ... body(count - 1), in any order and
// from any threads, and returns when all calls have returned.
using ParallelFor =
    std::function<void(std::size_t count, const std::function<void(std::size_t)>& body)>;

}  // namespace adafuse
