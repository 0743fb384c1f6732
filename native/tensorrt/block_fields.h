// The attributes of GatedResidualBlock, from an ONNX node or an engine, and back.
#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "tensorrt/block.h"

namespace adafuse::plugin {

// One attribute: its name, how many integers it holds and their range.
struct Field {
  const char* name;
  std::int32_t length, least, most;
};

constexpr std::int32_t kMostSize = 1 << 16;
constexpr std::array<Field, 14> kFields{{{"bottleneck", 1, 0, 1},
                                         {"frames", 1, 1, kMostSize},
                                         {"height", 1, 1, kMostSize},
                                         {"width", 1, 1, kMostSize},
                                         {"channels_in", 1, 1, kMostSize},
                                         {"channels", 1, 1, kMostSize},
                                         {"channels_out", 1, 1, kMostSize},
                                         {"stride", 1, 1, 2},
                                         {"project", 1, 0, 1},
                                         {"shift_next", 1, 0, kMostSize},
                                         {"shift_previous", 1, 0, kMostSize},
                                         {"shift_shortcut", 1, 0, 1},
                                         {"hidden", 1, 0, kMostSize},
                                         {"summed", 1, 0, 1}}};
constexpr Field kActions{"actions", 3, 0, 2};

// The attributes of one plugin, complete and checked.  It owns the values that collection() points
// to.
class BlockFields {
 public:
  // Throws std::runtime_error where an attribute is missing, of another type or out of bounds, or
  // they contradict each other.
  explicit BlockFields(const nvinfer1::PluginFieldCollection* fields);
  BlockFields(const BlockFields& other);
  BlockFields& operator=(const BlockFields&) = delete;

  const Block& block() const { return block_; }  // but for `half`, which no attribute says
  const nvinfer1::PluginFieldCollection* collection() const { return &collection_; }

 private:
  // Lets collection() point to this object's values.
  void point();

  std::array<std::int32_t, kFields.size()> values_{};
  std::array<std::int32_t, kActions.length> actions_{};
  std::array<nvinfer1::PluginField, kFields.size() + 1> fields_{};
  nvinfer1::PluginFieldCollection collection_{};
  Block block_;
};

}  // namespace adafuse::plugin
