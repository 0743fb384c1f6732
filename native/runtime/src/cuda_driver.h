// The little of CUDA that running an engine takes: a GPU, its memory and a stream.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <string>

namespace adafuse {

// The primary context of the first GPU, retained as long as this lives.
class Gpu {
 public:
  // Throws MissingDependencyError without a driver or GPU.
  Gpu();
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  std::string compute_capability() const;  // such as "8.7"
  void activate() const;                   // for this thread

 private:
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

// Memory of the active GPU.  Failures throw std::runtime_error with the driver's words.
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* address() const { return reinterpret_cast<void*>(address_); }
  void upload(const void* from, std::size_t bytes, CUstream stream) const;
  void download(void* to, std::size_t bytes, CUstream stream) const;

 private:
  CUdeviceptr address_ = 0;
};

class DeviceStream {
 public:
  DeviceStream();
  ~DeviceStream();
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;

  CUstream handle() const { return handle_; }
  void synchronize() const;

 private:
  CUstream handle_ = nullptr;
};

}  // namespace adafuse
