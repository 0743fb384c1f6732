// tests/vectors/block_plans.json: blocks, and the launches that Python plans for them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "tensorrt/block.h"
#include "tests/vectors.h"

namespace adafuse::plugin {

inline Block block_of(const nlohmann::json& c) {
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

inline std::int64_t rows_of(const nlohmann::json& c) {
  return c.at("clips").get<std::int64_t>() * c.at("frames").get<std::int64_t>();
}

// What the driver gets for a number.
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
