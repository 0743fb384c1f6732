#include "tensorrt/modules.h"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "cuda_driver/driver.h"

namespace adafuse::plugin {
namespace {

constexpr unsigned kPlainSharedBytes = 48 << 10;  // shared memory that kernels need not ask for
constexpr int kAmpere = 80;                       // compute capability times ten

int compute_capability() {
  CUdevice device = 0;
  int major = 0, minor = 0;
  ADAFUSE_CUDA(cuCtxGetDevice, &device);
  ADAFUSE_CUDA(cuDeviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  ADAFUSE_CUDA(cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  return 10 * major + minor;
}

LoadedKernel load_anew(const Kernel& kernel) {
  const int capability = compute_capability();
  const Cubin* const cubin = choose_cubin(kernel, capability);
  if (cubin == nullptr) {
    throw std::runtime_error(
        "This library has no kernels for compute capability " + std::to_string(capability / 10) +
        "." + std::to_string(capability % 10) + "; build it with that in ADAFUSE_CUBIN_TARGETS");
  }
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  ADAFUSE_CUDA(cuModuleLoadData, &module, cubin->image);
  ADAFUSE_CUDA(cuModuleGetFunction, &function, module, cubin->symbol);
  if (cubin->shared_bytes > kPlainSharedBytes) {
    ADAFUSE_CUDA(cuFuncSetAttribute, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                 static_cast<int>(cubin->shared_bytes));
  }
  return {function, cubin->shared_bytes};
}

}  // namespace

const Cubin* choose_cubin(const Kernel& kernel, int capability) {
  const Cubin* general = nullptr;
  for (const Cubin& cubin : kernel.cubins) {
    if (cubin.target == capability) {
      return &cubin;
    }
    if (cubin.target == kAmpere && capability / 10 == kAmpere / 10) {
      general = &cubin;
    }
  }
  return general;
}

LoadedKernel load(const Kernel& kernel) {
  static std::mutex mutex;
  static std::map<std::pair<CUcontext, const Kernel*>, LoadedKernel> loaded;
  CUcontext context = nullptr;
  ADAFUSE_CUDA(cuCtxGetCurrent, &context);
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = loaded.find({context, &kernel});
  if (found != loaded.end()) {
    return found->second;
  }
  return loaded[{context, &kernel}] = load_anew(kernel);
}

}  // namespace adafuse::plugin
