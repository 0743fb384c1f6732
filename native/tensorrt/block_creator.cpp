#include "tensorrt/block_creator.h"

#include <stdexcept>
#include <string>

#include "tensorrt/report.h"

namespace adafuse::plugin {

using nvinfer1::PluginFieldType;

BlockCreator::BlockCreator() {
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    fields_[i] = {kFields[i].name, nullptr, PluginFieldType::kINT32, kFields[i].length};
  }
  fields_.back() = {kActions.name, nullptr, PluginFieldType::kINT32, kActions.length};
  collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
}

nvinfer1::IPluginV3* BlockCreator::createPlugin(const char*,
                                                const nvinfer1::PluginFieldCollection* fields,
                                                nvinfer1::TensorRTPhase) noexcept {
  return guarded(static_cast<nvinfer1::IPluginV3*>(nullptr), [&]() -> nvinfer1::IPluginV3* {
    try {
      return new BlockPlugin(fields);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(std::string(kName) + ": " + error.what());
    }
  });
}

}  // namespace adafuse::plugin
