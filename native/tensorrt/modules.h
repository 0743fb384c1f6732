// Kernels loaded into the current CUDA context.
#pragma once

#include <cuda.h>

#include "tensorrt/kernel_table.h"

namespace adafuse::plugin {

struct LoadedKernel {
  CUfunction function;
  unsigned shared_bytes;
};

// Returns a kernel for the context that is current in this thread, loading it at the first call.
// It stays loaded as long as the context lives.  Throws cuda::NoDriver, or std::runtime_error where
// no cubin fits the GPU.
LoadedKernel load(const Kernel& kernel);

// Returns the cubin for a GPU of the given compute capability times ten, or nullptr.  Cubins
// for 8.0 run on every 8.x, all others on exactly their own.
const Cubin* choose_cubin(const Kernel& kernel, int capability);

}  // namespace adafuse::plugin
