#include "adafuse/metadata.hpp"

#include <stdexcept>

#include "adafuse/errors.hpp"
#include "src/onnx_properties.h"
#include "src/parse_metadata.h"
#include "src/schema.h"

namespace adafuse {
namespace {

constexpr const char* kEntry = "adafuse";  // of metadata_props

constexpr std::int64_t kMostValues = std::int64_t{1} << 40;  // of a tensor

Preprocessing to_preprocessing(const Json& values) {
  Preprocessing result;
  values.at("resize").get_to(result.resize);
  values.at("crop").get_to(result.crop);
  values.at("mean").get_to(result.mean);
  values.at("std").get_to(result.std);
  values.at("scale").get_to(result.scale);
  values.at("channel_order").get_to(result.channel_order);
  if (result.crop > result.resize) {
    throw std::runtime_error("config.preprocessing.crop does not fit resize");
  }
  return result;
}

std::optional<FrameSpacing> to_frame_spacing(const Json& config) {
  const auto found = config.find("frame_spacing");
  if (found == config.end()) {
    return std::nullopt;
  }
  const FrameSpacing spacing{found->at("median"), found->at("p10"), found->at("p90")};
  if (spacing.p10 > spacing.median || spacing.median > spacing.p90) {
    throw std::runtime_error("config.frame_spacing is not in order");
  }
  return spacing;
}

std::optional<ChannelGate> to_gate(const Json& layer, const char* side, std::size_t gates) {
  const auto found = layer.find(side);
  if (found == layer.end()) {
    return std::nullopt;
  }
  const ChannelGate gate{found->at("gate"), found->at("start"), found->at("stop")};
  if (gate.gate >= gates || gate.start >= gate.stop) {
    throw std::runtime_error("layer " + layer.at("name").get<std::string>() +
                             " names channels of no gate");
  }
  return gate;
}

Layer to_layer(const Json& values, std::size_t gates) {
  return {values.at("name"), values.value("macs", std::int64_t{0}),
          to_gate(values, "output", gates), to_gate(values, "input", gates)};
}

StateTensor to_state(const Json& values) {
  StateTensor state{values.at("input"), values.at("output"), values.at("shape"),
                    values.at("dtype")};
  std::int64_t left = kMostValues;
  for (const std::int64_t side : state.shape) {
    if (side > left) {
      throw std::runtime_error("state " + state.input + " has more than 2^40 values");
    }
    left /= side;
  }
  return state;
}

}  // namespace

Metadata parse_metadata(const Json& values, const std::string& source) {
  check_record(values, metadata_schema(), source, "metadata", "export it again");
  const Json& config = values.at("config");
  Metadata result;
  values.at("mode").get_to(result.mode);
  values.at("precision").get_to(result.precision);
  values.at("tool_version").get_to(result.tool_version);
  result.portable_name = values.value("portable_name", "");
  values.at("operators").get_to(result.operators);
  config.at("num_classes").get_to(result.num_classes);
  config.at("num_segments").get_to(result.num_segments);
  config.at("consensus").get_to(result.consensus);
  config.at("class_names").get_to(result.class_names);
  if (!result.class_names.empty() &&
      static_cast<std::int64_t>(result.class_names.size()) != result.num_classes) {
    throw std::runtime_error("there is not one name per class");
  }
  result.preprocessing = to_preprocessing(config.at("preprocessing"));
  result.frame_spacing = to_frame_spacing(config);
  values.at("gates").get_to(result.gates);
  for (const Json& layer : values.at("layers")) {
    result.layers.push_back(to_layer(layer, result.gates.size()));
  }
  for (const Json& state : values.at("state")) {
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
    return parse_metadata(parse_json(entry->second), path);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError("The adafuse-deploy metadata of " + path + " is damaged (" + error.what() +
                     "); export it again.");
  }
}

}  // namespace adafuse
