// Makes plugins from the attributes of ONNX nodes and from engines.
#pragma once

#include <NvInferRuntime.h>

#include <array>

#include "tensorrt/block_plugin.h"

namespace adafuse::plugin {

class BlockCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  BlockCreator();

  // Returns nullptr, with a report, where a field is missing or not what it should be.
  nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  const char* getPluginName() const noexcept override { return kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

 private:
  std::array<nvinfer1::PluginField, kFields.size() + 1> fields_{};
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace adafuse::plugin
