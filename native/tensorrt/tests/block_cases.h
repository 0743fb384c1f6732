// Blocks and tensor names of the vectors that Python makes: block_plans.json and block_values.json
// in tests/vectors.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tensorrt/block_fields.h"
#include "tensorrt/block_plan.h"
#include "tests/vectors.h"

namespace adafuse::plugin {

// Python's names of the inputs and outputs of a block.
inline const std::map<std::string, Tensor>& named_tensors() {
  static const std::map<std::string, Tensor> tensors{{"x", Tensor::x},
                                                     {"weight1", Tensor::weight1},
                                                     {"bias1", Tensor::bias1},
                                                     {"weight2", Tensor::weight2},
                                                     {"bias2", Tensor::bias2},
                                                     {"weight3", Tensor::weight3},
                                                     {"bias3", Tensor::bias3},
                                                     {"shortcut", Tensor::shortcut},
                                                     {"gate_weight0", Tensor::gate_weight0},
                                                     {"gate_bias0", Tensor::gate_bias0},
                                                     {"gate_weight1", Tensor::gate_weight1},
                                                     {"gate_bias1", Tensor::gate_bias1},
                                                     {"x_sums", Tensor::x_sums},
                                                     {"policy", Tensor::policy},
                                                     {"y", Tensor::y},
                                                     {"sums", Tensor::sums}};
  return tensors;
}

// The block of attributes of GatedResidualBlock (block_values.json), with the actions 0, 1 and 2.
inline Block block_of_attributes(const nlohmann::json& attributes, bool half) {
  std::array<std::int32_t, kFields.size()> values{};
  std::array<std::int32_t, 3> actions{0, 1, 2};
  std::vector<nvinfer1::PluginField> fields;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    values[i] = attributes.at(kFields[i].name);
    fields.emplace_back(kFields[i].name, &values[i], nvinfer1::PluginFieldType::kINT32, 1);
  }
  fields.emplace_back(kActions.name, actions.data(), nvinfer1::PluginFieldType::kINT32, 3);
  const nvinfer1::PluginFieldCollection collection{static_cast<std::int32_t>(fields.size()),
                                                   fields.data()};
  Block block = BlockFields(&collection).block();
  block.half = half;
  return block;
}

// The block of a case of block_plans.json.
inline Block planned_block(const nlohmann::json& c) {
  const nlohmann::json& given = c.at("block");
  Block block;
  block.half = given.at("dtype") == "fp16";
  block.bottleneck = given.at("kind") == "bottleneck";
  block.frames = c.at("frames");
  block.height = c.at("height");
  block.width = c.at("width");
  block.channels_in = given.at("channels_in");
  block.channels = given.at("channels");
  block.channels_out = given.at("channels_out");
  block.stride = given.at("stride");
  block.project = given.at("project");
  block.forward = given.at("shift").at("forward");
  block.backward = given.at("shift").at("backward");
  block.shift_shortcut = given.at("shift_shortcut");
  block.hidden = given.at("hidden");
  block.summed = c.at("summed");
  for (std::size_t i = 0; i < given.at("actions").size(); ++i) {
    block.actions[i] = given.at("actions")[i];
  }
  if (given.at("actions").size() == 2) {
    block.actions[2] = 0;  // its bias is minus infinity
  }
  return block;
}

// Frames of a case of block_plans.json.
inline std::int64_t rows_of(const nlohmann::json& c) {
  return c.at("clips").get<std::int64_t>() * c.at("frames").get<std::int64_t>();
}

// The bits of a number as the driver gets them.
inline std::int64_t bits_of(const nlohmann::json& number) {
  if (!number.is_number_float()) {
    return number.get<std::int64_t>();
  }
  const float single = number.get<float>();
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  return bits;
}

}  // namespace adafuse::plugin
