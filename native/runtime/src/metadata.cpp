#include "adafuse/metadata.hpp"

#include <stdexcept>

#include "adafuse/errors.hpp"
#include "src/json.h"
#include "src/onnx_properties.h"
#include "src/parse_metadata.h"

namespace adafuse {
namespace {

constexpr const char* kEntry = "adafuse";  // of metadata_props
constexpr std::int64_t kSchema = 1;

std::string text(const Json& values, const std::string& key) {
  const Json* value = values.find(key);
  return value == nullptr ? "" : value->string();
}

std::vector<std::string> texts(const Json& values) {
  std::vector<std::string> result;
  for (const Json& value : values.array()) {
    result.push_back(value.string());
  }
  return result;
}

std::array<float, 3> three(const Json& values) {
  if (values.array().size() != 3) {
    throw std::runtime_error("there must be one value per colour");
  }
  std::array<float, 3> result;
  for (std::size_t i = 0; i < 3; ++i) {
    result[i] = static_cast<float>(values.array()[i].number());
  }
  return result;
}

constexpr std::int64_t kMostSize = 0x7fffffff;               // of one dimension
constexpr std::int64_t kMostPixels = 65536;                  // of a frame's side
constexpr std::int64_t kMostValues = std::int64_t{1} << 40;  // of a tensor, and of operations

// An integer within bounds.
std::int64_t bounded(const Json& values, const char* key, std::int64_t least,
                     std::int64_t most = kMostSize) {
  const std::int64_t value = values[key].integer();
  if (value < least || value > most) {
    throw std::runtime_error(std::string("'") + key + "' is " + std::to_string(value));
  }
  return value;
}

Preprocessing to_preprocessing(const Json& values) {
  Preprocessing result;
  result.resize = static_cast<int>(bounded(values, "resize", 1, kMostPixels));
  result.crop = static_cast<int>(bounded(values, "crop", 1, kMostPixels));
  result.mean = three(values["mean"]);
  result.std = three(values["std"]);
  result.scale = static_cast<float>(values["scale"].number());
  result.channel_order = values["channel_order"].string();
  if (result.crop > result.resize) {
    throw std::runtime_error("crop does not fit resize");
  }
  return result;
}

std::optional<ChannelGate> to_gate(const Json* values, std::size_t gates) {
  if (values == nullptr) {
    return std::nullopt;
  }
  const auto index = [&](const char* key) {
    return static_cast<std::size_t>(bounded(*values, key, 0));
  };
  const ChannelGate gate{index("gate"), index("start"), index("stop")};
  if (gate.gate >= gates || gate.start >= gate.stop) {
    throw std::runtime_error("a layer names channels of no gate");
  }
  return gate;
}

Layer to_layer(const Json& values, std::size_t gates) {
  Layer layer;
  layer.name = values["name"].string();
  if (values.find("macs") != nullptr) {
    layer.macs = bounded(values, "macs", 0, kMostValues);
  }
  layer.output = to_gate(values.find("output"), gates);
  layer.input = to_gate(values.find("input"), gates);
  return layer;
}

StateTensor to_state(const Json& values) {
  StateTensor state{
      values["input"].string(), values["output"].string(), {}, values["dtype"].string()};
  std::int64_t values_left = kMostValues;
  for (const Json& side : values["shape"].array()) {
    state.shape.push_back(side.integer());
    if (state.shape.back() < 1 || state.shape.back() > values_left) {
      throw std::runtime_error("a state's shape holds " + std::to_string(state.shape.back()));
    }
    values_left /= state.shape.back();
  }
  if (state.dtype != "float32" && state.dtype != "int32") {
    throw std::runtime_error("state is " + state.dtype);
  }
  return state;
}

std::string schema_of(const Json& values) {
  const Json* schema = values.find("schema");
  return schema == nullptr ? "None" : std::to_string(schema->integer());
}

}  // namespace

Metadata parse_metadata(const Json& values) {
  const Json& config = values["config"];
  Metadata result;
  result.mode = values["mode"].string();
  result.precision = values["precision"].string();
  result.tool_version = values["tool_version"].string();
  result.portable_name = text(values, "portable_name");
  for (const auto& [domain, version] : values["operators"].object()) {
    result.operators[domain] = static_cast<int>(version.integer());
  }
  result.num_classes = bounded(config, "num_classes", 1);
  result.num_segments = bounded(config, "num_segments", 1);
  result.consensus = config["consensus"].string();
  result.class_names = texts(config["class_names"]);
  if (!result.class_names.empty() &&
      static_cast<std::int64_t>(result.class_names.size()) != result.num_classes) {
    throw std::runtime_error("there is not one name per class");
  }
  result.preprocessing = to_preprocessing(config["preprocessing"]);
  result.gates = texts(values["gates"]);
  for (const Json& layer : values["layers"].array()) {
    result.layers.push_back(to_layer(layer, result.gates.size()));
  }
  for (const Json& state : values["state"].array()) {
    result.state.push_back(to_state(state));
  }
  return result;
}

std::string Metadata::label(std::size_t index) const {
  return class_names.empty() ? "class " + std::to_string(index) : class_names.at(index);
}

Shape Metadata::frame_shape() const {
  return {3, preprocessing.crop, preprocessing.crop};
}

Shape Metadata::clip_shape() const {
  return {num_segments, 3, preprocessing.crop, preprocessing.crop};
}

Metadata read_metadata(const std::string& path) {
  const auto properties = read_onnx_properties(path);
  const auto entry = properties.find(kEntry);
  if (entry == properties.end()) {
    throw InputError(path +
                     " carries no adafuse-deploy metadata; make it with 'adafuse-deploy export' "
                     "(other ONNX files do not say their preprocessing and policies).");
  }
  try {
    const Json values = Json::parse(entry->second);
    if (schema_of(values) != std::to_string(kSchema)) {
      throw IncompatibleArtifactError(path + " has metadata schema " + schema_of(values) +
                                      " (adafuse-deploy " + text(values, "tool_version") +
                                      "), this one reads " + std::to_string(kSchema) +
                                      "; export it again.");
    }
    return parse_metadata(values);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError("The adafuse-deploy metadata of " + path + " is damaged (" + error.what() +
                     "); export it again.");
  }
}

}  // namespace adafuse
