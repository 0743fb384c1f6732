// A library called libcuda.so.1 that computes nothing: it records launches, and fails when told to.
#include "tensorrt/tests/stand_in_driver.h"

#include <cstdlib>
#include <cstring>

namespace {

StandIn state;

CUresult answer(const char* function) {
  return state.failing == function ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

extern "C" {

StandIn* stand_in() {
  return &state;
}

CUresult cuInit(unsigned) {
  return answer("cuInit");
}
CUresult cuGetErrorString(CUresult, const char** words) {
  *words = "the stand-in was told to fail";
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int index) {
  *device = index;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  const bool major = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
  *value = major ? state.capability / 10 : state.capability % 10;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext*, CUdevice) {
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  return CUDA_SUCCESS;
}
CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = reinterpret_cast<CUcontext>(reinterpret_cast<char*>(&state) + state.context);
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext) {
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr*, std::size_t) {
  return CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFree(CUdeviceptr) {
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr, const void*, std::size_t, CUstream) {
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemcpyDtoHAsync(void*, CUdeviceptr, std::size_t, CUstream) {
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult cuStreamCreate(CUstream*, unsigned) {
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream) {
  return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  *module = reinterpret_cast<CUmodule>(const_cast<void*>(image));
  ++state.modules;
  return answer("cuModuleLoadData");
}
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* symbol) {
  state.functions.push_back({module, symbol, 0});
  *function = reinterpret_cast<CUfunction>(&state.functions.back());
  return answer("cuModuleGetFunction");
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    reinterpret_cast<StandIn::Function*>(function)->shared_bytes = value;
  }
  return answer("cuFuncSetAttribute");
}
CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads,
                        unsigned threads_y, unsigned threads_z, unsigned shared_bytes,
                        CUstream stream, void** arguments, void** extra) {
  if (threads_y != 1 || threads_z != 1 || extra != nullptr) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto& known = *reinterpret_cast<StandIn::Function*>(function);
  state.launches.push_back({&known, {x, y, z}, threads, shared_bytes, stream, {}});
  for (std::size_t i = 0; i < state.arguments_of(known); ++i) {
    std::uint64_t value = 0;
    std::memcpy(&value, arguments[i], sizeof value);
    state.launches.back().arguments.push_back(value);
  }
  return answer("cuLaunchKernel");
}

}  // extern "C"
