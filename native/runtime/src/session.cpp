#include "src/session.h"

#include "src/operator_library.h"

namespace adafuse {
namespace {

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> result;
  for (const std::string& name : names) {
    result.push_back(name.c_str());
  }
  return result;
}

// One for the process, as ONNX Runtime wants it.
Ort::Env& environment() {
  static Ort::Env env = [] {
    const OrtApi* api = OrtGetApiBase()->GetApi(kApiVersion);
    if (api == nullptr) {
      throw MissingDependencyError(std::string("ONNX Runtime ") +
                                   OrtGetApiBase()->GetVersionString() +
                                   " is too old: install 1.20 or newer.");
    }
    Ort::InitApi(api);
    Ort::Env made(ORT_LOGGING_LEVEL_WARNING, "adafuse");
    made.DisableTelemetryEvents();
    return made;
  }();
  return env;
}

[[noreturn]] void refuse_output(const std::string& what, const Shape& shape,
                                const std::string& wanted) {
  throw IncompatibleArtifactError("The graph gives " + what + " of shape " + to_string(shape) +
                                  " where its metadata says " + wanted +
                                  "; export the graph again.");
}

void register_operators(Ort::SessionOptions& options, const std::string& library) {
  try {
    options.RegisterCustomOpsLibrary(library.c_str());
  } catch (const Ort::Exception& error) {
    throw MissingDependencyError(
        "ONNX Runtime cannot load the operator library " + library + ": " + error.what() +
        ". Usual causes: it was built for another kind of processor or a newer C library, ONNX "
        "Runtime is older than 1.20, or the file is no operator library. Install adafuse-deploy "
        "again on this machine.");
  }
}

}  // namespace

Session::Session(const std::string& path, const EngineOptions& options)
    : metadata(read_metadata(path)),
      with_library(options.use_operator_library && !metadata.operators.empty()),
      path_(path) {
  if (!options.use_operator_library && !metadata.portable_name.empty()) {
    throw IncompatibleArtifactError(
        path + " runs only with the operator library; without it run the portable graph that it " +
        "was built from, " + metadata.portable_name + ".");
  }
  Ort::Env& env = environment();
  Ort::SessionOptions session_options;
  session_options.SetIntraOpNumThreads(options.threads);
  // A plan of all memory is a second allocation beside those of the run that it was made from.
  session_options.DisableMemPattern();
  // A pool that spins after its run takes cores from whatever runs next.
  session_options.AddConfigEntry("session.force_spinning_stop", "1");
  if (metadata.precision == "int8") {
    // Without VNNI the runtime's faster kernels saturate sums of two products.
    session_options.AddConfigEntry("session.x64quantprecision", "1");
  }
  if (with_library) {
    register_operators(session_options, find_operator_library(options.operator_library));
  }
  try {
    session_ = Ort::Session(env, path.c_str(), session_options);
  } catch (const Ort::Exception& error) {
    throw IncompatibleArtifactError(
        std::string("ONNX Runtime ") + OrtGetApiBase()->GetVersionString() + " cannot run " + path +
        ": " + error.what() + ". Export the graph again, or install the ONNX Runtime that " +
        "adafuse-deploy was tested with.");
  }
}

void Session::run(const NamedValues& inputs, NamedValues& outputs) const {
  try {
    session_.Run(Ort::RunOptions{nullptr}, pointers(inputs.names).data(), inputs.values.data(),
                 inputs.values.size(), pointers(outputs.names).data(), outputs.values.data(),
                 outputs.values.size());
  } catch (const Ort::Exception& error) {
    throw IncompatibleArtifactError(
        "ONNX Runtime stopped while it ran " + path_ + ": " + error.what() +
        ". Give it more memory if that is what it lacks; else the graph is damaged: export or " +
        "build it again.");
  }
}

Ort::Value view(const Tensor<float>& tensor) {
  return view(tensor, 0, tensor.shape[0]);
}

Ort::Value view(const Tensor<float>& tensor, std::int64_t first, std::int64_t count) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  const std::size_t each = tensor.values.size() / static_cast<std::size_t>(tensor.shape[0]);
  Shape shape = tensor.shape;
  shape[0] = count;
  const float* const values = tensor.values.data() + static_cast<std::size_t>(first) * each;
  return Ort::Value::CreateTensor<float>(memory, const_cast<float*>(values),
                                         static_cast<std::size_t>(count) * each, shape.data(),
                                         shape.size());
}

Tensor<float> to_logits(const Ort::Value& value, const Shape& shape) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || info.GetShape() != shape) {
    refuse_output("logits", info.GetShape(), "float32 " + to_string(shape));
  }
  Tensor<float> result(shape);
  std::copy_n(value.GetTensorData<float>(), result.values.size(), result.values.begin());
  return result;
}

Tensor<std::uint8_t> to_policy(const Ort::Value& value, std::int64_t rows, std::int64_t frames) {
  const auto info = value.GetTensorTypeAndShapeInfo();
  Shape shape = info.GetShape();
  const std::int64_t channels = shape.empty() ? 0 : shape.back();
  const Shape wanted{rows, frames, channels};
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 ||
      (shape != wanted && shape != Shape{rows * frames, channels})) {
    refuse_output("a policy", shape,
                  "int32 (" + std::to_string(rows) + ", " + std::to_string(frames) + ", channels)");
  }
  Tensor<std::uint8_t> result(wanted);
  const auto* actions = value.GetTensorData<std::int32_t>();
  for (std::size_t i = 0; i < result.values.size(); ++i) {
    result.values[i] = static_cast<std::uint8_t>(actions[i]);
  }
  return result;
}

void add_policies(const Metadata& metadata, NamedValues& outputs) {
  for (std::size_t gate = 0; gate < metadata.gates.size(); ++gate) {
    const std::string number = std::to_string(gate);
    outputs.add("policy_" + std::string(number.size() < 2, '0') + number, Ort::Value(nullptr));
  }
}

std::string to_string(const Shape& shape) {
  std::string result;
  for (const std::int64_t side : shape) {
    result += (result.empty() ? "" : ", ") + std::to_string(side);
  }
  return "(" + result + ")";
}

}  // namespace adafuse
