#include "src/cuda_driver.h"

#include "adafuse/errors.hpp"
#include "cuda_driver/driver.h"

namespace adafuse {

Gpu::Gpu() {
  try {
    cuda::driver();
  } catch (const cuda::NoDriver& error) {
    throw MissingDependencyError(std::string(error.what()) +
                                 "; run on a machine with one, or run model.onnx on the CPU.");
  }
  ADAFUSE_CUDA(cuDeviceGet, &device_, 0);
  ADAFUSE_CUDA(cuDevicePrimaryCtxRetain, &context_, device_);
  activate();
}

Gpu::~Gpu() {
  cuda::driver().cuDevicePrimaryCtxRelease_(device_);
}

std::string Gpu::compute_capability() const {
  int major = 0, minor = 0;
  ADAFUSE_CUDA(cuDeviceGetAttribute, &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_);
  ADAFUSE_CUDA(cuDeviceGetAttribute, &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device_);
  return std::to_string(major) + "." + std::to_string(minor);
}

void Gpu::activate() const {
  ADAFUSE_CUDA(cuCtxSetCurrent, context_);
}

DeviceMemory::DeviceMemory(std::size_t bytes) {
  ADAFUSE_CUDA(cuMemAlloc, &address_, bytes);
}
DeviceMemory::~DeviceMemory() {
  cuda::driver().cuMemFree_(address_);
}
void DeviceMemory::upload(const void* from, std::size_t bytes, CUstream stream) const {
  ADAFUSE_CUDA(cuMemcpyHtoDAsync, address_, from, bytes, stream);
}
void DeviceMemory::download(void* to, std::size_t bytes, CUstream stream) const {
  ADAFUSE_CUDA(cuMemcpyDtoHAsync, to, address_, bytes, stream);
}

DeviceStream::DeviceStream() {
  ADAFUSE_CUDA(cuStreamCreate, &handle_, CU_STREAM_NON_BLOCKING);
}
DeviceStream::~DeviceStream() {
  cuda::driver().cuStreamDestroy_(handle_);
}
void DeviceStream::synchronize() const {
  ADAFUSE_CUDA(cuStreamSynchronize, handle_);
}

}  // namespace adafuse
