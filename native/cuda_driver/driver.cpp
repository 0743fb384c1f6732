#include "cuda_driver/driver.h"

#include <dlfcn.h>

namespace adafuse::cuda {
namespace {

// The driver's library exports versions of some functions; cuda.h maps names to the current ones.
#define NAME_OF(function) NAME_OF_EXPANDED(function)
#define NAME_OF_EXPANDED(function) #function

}  // namespace

Driver::Driver() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    throw NoDriver(std::string("There is no NVIDIA GPU here, or no driver for it (") + dlerror() +
                   ")");
  }
#define LOAD(function)                                                                      \
  function##_ = reinterpret_cast<decltype(function##_)>(dlsym(library, NAME_OF(function))); \
  if (function##_ == nullptr) {                                                             \
    throw NoDriver("The NVIDIA driver is too old: it has no " NAME_OF(function));           \
  }
  ADAFUSE_DRIVER_FUNCTIONS(LOAD)
#undef LOAD
  int count = 0;
  const CUresult status = cuInit_(0);
  if (status != CUDA_SUCCESS || cuDeviceGetCount_(&count) != CUDA_SUCCESS || count == 0) {
    throw NoDriver("The NVIDIA driver finds no usable GPU (CUDA error " + std::to_string(status) +
                   ")");
  }
}

void Driver::check(CUresult status, const char* function) const {
  if (status != CUDA_SUCCESS) {
    const char* words = nullptr;
    cuGetErrorString_(status, &words);
    throw std::runtime_error(std::string(function) + ": " +
                             (words == nullptr ? "unknown error" : words) + " (CUDA error " +
                             std::to_string(status) + ")");
  }
}

const Driver& driver() {
  static const Driver loaded;
  return loaded;
}

}  // namespace adafuse::cuda
