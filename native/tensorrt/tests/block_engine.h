// A plugin for a block, with the descriptors that TensorRT gives it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "tensorrt/block_plugin.h"
#include "tensorrt/block_tensors.h"

namespace adafuse::plugin {

inline std::vector<nvinfer1::PluginTensorDesc> describe(const std::vector<TensorSpec>& specs,
                                                        bool half) {
  std::vector<nvinfer1::PluginTensorDesc> result;
  for (const TensorSpec& spec : specs) {
    nvinfer1::PluginTensorDesc tensor{};
    tensor.type = spec.element == Element::int32            ? nvinfer1::DataType::kINT32
                  : spec.element == Element::stored && half ? nvinfer1::DataType::kHALF
                                                            : nvinfer1::DataType::kFLOAT;
    tensor.dims.nbDims = static_cast<std::int32_t>(spec.dims.size());
    std::copy(spec.dims.begin(), spec.dims.end(), tensor.dims.d);
    result.push_back(tensor);
  }
  return result;
}

struct Engine {
  explicit Engine(const Block& given) : block(given) {
    const std::vector<std::int64_t> numbers{block.bottleneck,
                                            block.frames,
                                            block.height,
                                            block.width,
                                            block.channels_in,
                                            block.channels,
                                            block.channels_out,
                                            block.stride,
                                            block.project,
                                            block.forward,
                                            block.backward - block.forward,
                                            block.shift_shortcut,
                                            block.hidden,
                                            block.summed};
    values.assign(numbers.begin(), numbers.end());
    actions.assign(block.actions.begin(), block.actions.end());
    std::vector<nvinfer1::PluginField> fields;
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      fields.emplace_back(kFields[i].name, &values[i], nvinfer1::PluginFieldType::kINT32, 1);
    }
    fields.emplace_back("actions", actions.data(), nvinfer1::PluginFieldType::kINT32, 3);
    const nvinfer1::PluginFieldCollection collection{static_cast<std::int32_t>(fields.size()),
                                                     fields.data()};
    plugin = std::make_unique<BlockPlugin>(&collection);
  }

  void shape(std::int64_t rows) {
    in = describe(inputs_of(block, rows), block.half);
    out = describe(outputs_of(block, rows), block.half);
  }
  std::int32_t change() {
    return plugin->onShapeChange(in.data(), static_cast<std::int32_t>(in.size()), out.data(),
                                 static_cast<std::int32_t>(out.size()));
  }
  // `at` gives the address of a tensor.
  template <typename At>
  std::int32_t run(std::int64_t rows, const At& at, void* workspace, cudaStream_t stream) {
    std::vector<const void*> inputs;
    for (const TensorSpec& spec : inputs_of(block, rows)) {
      inputs.push_back(at(spec.tensor));
    }
    std::vector<void*> outputs;
    for (const TensorSpec& spec : outputs_of(block, rows)) {
      outputs.push_back(at(spec.tensor));
    }
    return plugin->enqueue(in.data(), out.data(), inputs.data(), outputs.data(), workspace, stream);
  }

  Block block;
  std::vector<std::int32_t> values, actions;
  std::unique_ptr<BlockPlugin> plugin;
  std::vector<nvinfer1::PluginTensorDesc> in, out;
};

}  // namespace adafuse::plugin
