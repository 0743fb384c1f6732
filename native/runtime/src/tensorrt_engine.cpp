// Engines of TensorRT.  Tests run this without a GPU up to the point where the driver is missing.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "adafuse/errors.hpp"
#include "adafuse/macs.hpp"
#include "src/clip_engine.h"
#include "src/cuda_driver.h"
#include "src/operator_library.h"
#include "src/session.h"
#include "src/sha256.h"

namespace adafuse {
namespace {

// Collects TensorRT's error messages, for exceptions.
class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR) {
      try {
        const std::lock_guard<std::mutex> lock(mutex_);
        errors_ += (errors_.empty() ? "" : "; ") + std::string(message);
      } catch (...) {  // no memory for words
      }
    }
  }

  // Errors since the last call, in TensorRT's words.
  std::string failure() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::string result;
    result.swap(errors_);
    return result.empty() ? "it gave no reason" : result;
  }

 private:
  std::mutex mutex_;
  std::string errors_;
};

// TensorRT's library, of the headers' major version; loaded for the first engine and kept.
class Library {
 public:
  Library() {
    const std::string name = "libnvinfer.so." + std::to_string(NV_TENSORRT_MAJOR);
    handle_ = dlopen(name.c_str(), RTLD_NOW);
    if (handle_ == nullptr) {
      throw MissingDependencyError("TensorRT cannot be loaded (" + std::string(dlerror()) +
                                   "): install TensorRT " + std::to_string(NV_TENSORRT_MAJOR) +
                                   ", which this library was built for, or run model.onnx.");
    }
  }

  // "10.3.0.26"
  std::string version() const {
    return number("getInferLibMajorVersion") + "." + number("getInferLibMinorVersion") + "." +
           number("getInferLibPatchVersion") + "." + number("getInferLibBuildVersion");
  }

  std::unique_ptr<nvinfer1::IRuntime> make_runtime(Logger& logger) const {
    const auto make = function<void*(void*, std::int32_t)>("createInferRuntime_INTERNAL");
    return std::unique_ptr<nvinfer1::IRuntime>(
        static_cast<nvinfer1::IRuntime*>(make(&logger, NV_TENSORRT_VERSION)));
  }

 private:
  template <typename Signature>
  Signature* function(const char* name) const {
    void* const found = dlsym(handle_, name);
    if (found == nullptr) {
      throw MissingDependencyError("TensorRT's library has no " + std::string(name) +
                                   ": install TensorRT 10.3 or newer.");
    }
    return reinterpret_cast<Signature*>(found);
  }
  std::string number(const char* name) const {
    return std::to_string(function<std::int32_t()>(name)());
  }

  void* handle_;  // for the life of the process
};

nvinfer1::Dims to_dims(const Shape& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

Shape to_shape(const nvinfer1::Dims& dims) {
  return Shape(dims.d, dims.d + dims.nbDims);
}

// Four bytes each: float32 and int32.
constexpr std::size_t kElement = 4;

class TensorRTEngine : public ClipEngine {
 public:
  TensorRTEngine(const std::string& path, const Sidecar& sidecar)
      : ClipEngine(sidecar.metadata), min_batch_(sidecar.min_batch), max_batch_(sidecar.max_batch) {
    if (sidecar.backend != "tensorrt") {
      throw IncompatibleArtifactError(path + " was built by " + sidecar.backend +
                                      ", which this library does not run; build it with "
                                      "'adafuse-deploy build-engine --backend tensorrt'.");
    }
    const Library library;
    sidecar.check_runtime(path, library.version());
    gpu_ = std::make_unique<Gpu>();
    sidecar.check_gpu(path, gpu_->compute_capability());
    runtime_ = library.make_runtime(logger_);
    if (runtime_ && sidecar.plugins_embedded) {
      runtime_->setEngineHostCodeAllowed(true);
    } else if (runtime_ && !sidecar.plugins_sha256.empty()) {
      load_plugins(path, sidecar.plugins_sha256);
    }
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> plan{std::istreambuf_iterator<char>(file), {}};
    if (runtime_) {
      engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
    }
    if (!engine_) {
      throw IncompatibleArtifactError("TensorRT " + library.version() + " cannot open " + path +
                                      ": " + logger_.failure() +
                                      "; build it again on this machine with 'adafuse-deploy "
                                      "build-engine'.");
    }
    context_.reset(engine_->createExecutionContext());
    if (!context_) {
      throw InputError("TensorRT could not prepare " + path + ": " + logger_.failure() +
                       "; free some memory of the GPU, or build the engine again with a smaller "
                       "--max-batch.");
    }
    names_ = {"logits", "frame_logits"};
    NamedValues policies;
    add_policies(metadata, policies);
    names_.insert(names_.end(), policies.names.begin(), policies.names.end());
    stream_ = std::make_unique<DeviceStream>();
    allocate(path);
  }

  ~TensorRTEngine() override {
    try {
      gpu_->activate();  // this may be another thread than the one that opened the engine
    } catch (const std::exception&) {  // the driver is gone, and with it what is to be freed
    }
  }

  Prediction run(const Tensor<float>& clips) const override {
    if (clips.shape[0] < min_batch_ || clips.shape[0] > max_batch_) {
      throw InputError("The engine takes " + std::to_string(min_batch_) + " to " +
                       std::to_string(max_batch_) + " clips at a time, not " +
                       std::to_string(clips.shape[0]) +
                       "; split the batch, or build it again with another --max-batch.");
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    gpu_->activate();  // this may be another thread than the one that opened the engine
    context_->setInputShape("frames", to_dims(clips.shape));
    const CUstream stream = stream_->handle();
    memory_.at("frames")->upload(clips.values.data(), clips.values.size() * kElement, stream);
    if (!context_->enqueueV3(stream)) {
      throw std::runtime_error("TensorRT could not run the engine: " + logger_.failure());
    }
    Prediction result;
    result.logits = download<float>("logits");
    result.frame_logits = download<float>("frame_logits");
    std::vector<Tensor<std::int32_t>> actions;
    for (std::size_t i = 2; i < names_.size(); ++i) {
      actions.push_back(download<std::int32_t>(names_[i]));
    }
    stream_->synchronize();
    for (const Tensor<std::int32_t>& policy : actions) {
      Tensor<std::uint8_t>& narrow = result.policies.emplace_back(policy.shape);
      std::transform(policy.values.begin(), policy.values.end(), narrow.values.begin(),
                     [](std::int32_t action) { return static_cast<std::uint8_t>(action); });
    }
    result.macs = clip_macs(metadata.layers, result.policies, clips.shape[1]);
    result.macs.resize(static_cast<std::size_t>(clips.shape[0]), result.macs.front());
    return result;
  }

 private:
  void load_plugins(const std::string& path, const std::string& expected) {
    const std::string plugins = find_plugin_library();
    const std::string found = sha256(plugins);
    if (found != expected) {
      throw IncompatibleArtifactError(
          path + " was built with the plugin library of SHA-256 " + expected.substr(0, 12) +
          "..., but " + plugins + " has " + found.substr(0, 12) +
          "...; name the other one in ADAFUSE_TENSORRT_PLUGIN, or build the engine again.");
    }
    if (runtime_->getPluginRegistry().loadLibrary(plugins.c_str()) == nullptr) {
      throw MissingDependencyError("TensorRT cannot take plugins from " + plugins + ": " +
                                   logger_.failure() +
                                   "; build it with 'make plugin' on this machine.");
    }
  }

  // Binds memory for the largest batch to every input and output.
  void allocate(const std::string& path) {
    Shape largest = metadata.clip_shape();
    largest.insert(largest.begin(), max_batch_);
    context_->setInputShape("frames", to_dims(largest));
    std::vector<std::string> all = names_;
    all.push_back("frames");
    for (const std::string& name : all) {
      const bool floats = name.rfind("policy", 0) != 0;
      if (engine_->getTensorDataType(name.c_str()) !=
          (floats ? nvinfer1::DataType::kFLOAT : nvinfer1::DataType::kINT32)) {
        throw IncompatibleArtifactError(path + " has another type for " + name +
                                        " than adafuse-deploy gives it; build it again with "
                                        "'adafuse-deploy build-engine'.");
      }
      const Shape shape = to_shape(context_->getTensorShape(name.c_str()));
      memory_[name] = std::make_unique<DeviceMemory>(element_count(shape) * kElement);
      context_->setTensorAddress(name.c_str(), memory_[name]->address());
    }
  }

  template <class T>
  Tensor<T> download(const std::string& name) const {
    Tensor<T> result(to_shape(context_->getTensorShape(name.c_str())));
    memory_.at(name)->download(result.values.data(), result.values.size() * kElement,
                               stream_->handle());
    return result;
  }

  const std::int64_t min_batch_, max_batch_;
  std::vector<std::string> names_;  // of the outputs
  mutable Logger logger_;
  mutable std::mutex mutex_;  // a context runs once at a time
  // Destroyed in reverse order.
  std::unique_ptr<Gpu> gpu_;
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::unique_ptr<DeviceStream> stream_;
  std::map<std::string, std::unique_ptr<DeviceMemory>> memory_;
};

}  // namespace

std::shared_ptr<const ClipEngine> open_tensorrt(const std::string& path, const Sidecar& sidecar) {
  return std::make_shared<const TensorRTEngine>(path, sidecar);
}

}  // namespace adafuse
