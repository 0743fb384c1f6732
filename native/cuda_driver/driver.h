// The functions of the CUDA driver that this project calls, from the library of the NVIDIA driver.
//
// It is loaded at the first call, so that programs start without it.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>

namespace adafuse::cuda {

// There is no GPU here, no driver for it, or an old one.
class NoDriver : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

#define ADAFUSE_DRIVER_FUNCTIONS(DO) \
  DO(cuInit)                         \
  DO(cuGetErrorString)               \
  DO(cuDeviceGetCount)               \
  DO(cuDeviceGet)                    \
  DO(cuDeviceGetAttribute)           \
  DO(cuDevicePrimaryCtxRetain)       \
  DO(cuDevicePrimaryCtxRelease)      \
  DO(cuCtxGetCurrent)                \
  DO(cuCtxGetDevice)                 \
  DO(cuCtxSetCurrent)                \
  DO(cuMemAlloc)                     \
  DO(cuMemFree)                      \
  DO(cuMemcpyHtoDAsync)              \
  DO(cuMemcpyDtoHAsync)              \
  DO(cuStreamCreate)                 \
  DO(cuStreamDestroy)                \
  DO(cuStreamSynchronize)            \
  DO(cuModuleLoadData)               \
  DO(cuModuleGetFunction)            \
  DO(cuFuncSetAttribute)             \
  DO(cuLaunchKernel)

// Addresses of the functions, `name_` for each name; the library stays loaded.
struct Driver {
#define ADAFUSE_DECLARE(function) decltype(&::function) function##_ = nullptr;
  ADAFUSE_DRIVER_FUNCTIONS(ADAFUSE_DECLARE)
#undef ADAFUSE_DECLARE

  // Throws NoDriver.
  Driver();

  // Throws std::runtime_error with the driver's words unless the status is success.
  void check(CUresult status, const char* function) const;
};

// Loads the driver at the first call.  Throws NoDriver.
const Driver& driver();

// Calls a function of the driver; failures throw.
#define ADAFUSE_CUDA(function, ...) \
  ::adafuse::cuda::driver().check(::adafuse::cuda::driver().function##_(__VA_ARGS__), #function)

}  // namespace adafuse::cuda
