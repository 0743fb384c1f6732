#include "src/cuda_driver.h"

#include <dlfcn.h>

#include <stdexcept>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

// The driver's library exports versions of some functions; cuda.h maps names to the current ones.
#define NAME_OF(function) NAME_OF_EXPANDED(function)
#define NAME_OF_EXPANDED(function) #function
#define DRIVER_FUNCTIONS(DO)    \
  DO(cuInit)                    \
  DO(cuGetErrorString)          \
  DO(cuDeviceGetCount)          \
  DO(cuDeviceGet)               \
  DO(cuDeviceGetAttribute)      \
  DO(cuDevicePrimaryCtxRetain)  \
  DO(cuDevicePrimaryCtxRelease) \
  DO(cuCtxSetCurrent)           \
  DO(cuMemAlloc)                \
  DO(cuMemFree)                 \
  DO(cuMemcpyHtoDAsync)         \
  DO(cuMemcpyDtoHAsync)         \
  DO(cuStreamCreate)            \
  DO(cuStreamDestroy)           \
  DO(cuStreamSynchronize)

struct Driver {
#define DECLARE(function) decltype(&::function) function##_ = nullptr;
  DRIVER_FUNCTIONS(DECLARE)
#undef DECLARE

  Driver() {
    void* const library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) {
      missing(std::string("There is no NVIDIA GPU here, or no driver for it (") + dlerror() + ")");
    }
#define LOAD(function)                                                                      \
  function##_ = reinterpret_cast<decltype(function##_)>(dlsym(library, NAME_OF(function))); \
  if (function##_ == nullptr) {                                                             \
    missing("The NVIDIA driver is too old: it has no " NAME_OF(function));                  \
  }
    DRIVER_FUNCTIONS(LOAD)
#undef LOAD
    int count = 0;
    const CUresult status = cuInit_(0);
    if (status != CUDA_SUCCESS || cuDeviceGetCount_(&count) != CUDA_SUCCESS || count == 0) {
      missing("The NVIDIA driver finds no usable GPU (CUDA error " + std::to_string(status) + ")");
    }
  }

  [[noreturn]] static void missing(const std::string& cause) {
    throw MissingDependencyError(cause +
                                 "; run on a machine with one, or run model.onnx on the CPU.");
  }

  void check(CUresult status, const char* function) const {
    if (status != CUDA_SUCCESS) {
      const char* words = nullptr;
      cuGetErrorString_(status, &words);
      throw std::runtime_error(std::string(function) + ": " +
                               (words == nullptr ? "unknown error" : words) + " (CUDA error " +
                               std::to_string(status) + ")");
    }
  }
};

const Driver& driver() {
  static const Driver loaded;
  return loaded;
}

#define CALL(function, ...) driver().check(driver().function##_(__VA_ARGS__), #function)

}  // namespace

Gpu::Gpu() {
  CALL(cuDeviceGet, &device_, 0);
  CALL(cuDevicePrimaryCtxRetain, &context_, device_);
  activate();
}

Gpu::~Gpu() {
  driver().cuDevicePrimaryCtxRelease_(device_);
}

std::string Gpu::compute_capability() const {
  int major = 0, minor = 0;
  CALL(cuDeviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_);
  CALL(cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device_);
  return std::to_string(major) + "." + std::to_string(minor);
}

void Gpu::activate() const {
  CALL(cuCtxSetCurrent, context_);
}

DeviceMemory::DeviceMemory(std::size_t bytes) {
  CALL(cuMemAlloc, &address_, bytes);
}
DeviceMemory::~DeviceMemory() {
  driver().cuMemFree_(address_);
}
void DeviceMemory::upload(const void* from, std::size_t bytes, CUstream stream) const {
  CALL(cuMemcpyHtoDAsync, address_, from, bytes, stream);
}
void DeviceMemory::download(void* to, std::size_t bytes, CUstream stream) const {
  CALL(cuMemcpyDtoHAsync, to, address_, bytes, stream);
}

DeviceStream::DeviceStream() {
  CALL(cuStreamCreate, &handle_, CU_STREAM_NON_BLOCKING);
}
DeviceStream::~DeviceStream() {
  driver().cuStreamDestroy_(handle_);
}
void DeviceStream::synchronize() const {
  CALL(cuStreamSynchronize, handle_);
}

}  // namespace adafuse
