// GatedResidualBlock (docs/plugins.md) as a plugin of TensorRT, version 3 of its interface.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <optional>

#include "tensorrt/block_fields.h"
#include "tensorrt/block_plan.h"

namespace adafuse::plugin {

constexpr const char* kName = "GatedResidualBlock";
constexpr const char* kNamespace = "ai.adafuse";
constexpr const char* kVersion = "1";

class BlockPlugin final : public nvinfer1::IPluginV3,
                          public nvinfer1::IPluginV3OneCore,
                          public nvinfer1::v_1_0::IPluginV3OneBuild,
                          public nvinfer1::IPluginV3OneRuntime {
 public:
  // Throws std::runtime_error where attributes are not what they should be.
  explicit BlockPlugin(const nvinfer1::PluginFieldCollection* fields);
  BlockPlugin(const BlockPlugin&) = default;
  BlockPlugin& operator=(const BlockPlugin&) = delete;

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3* clone() noexcept override;

  const char* getPluginName() const noexcept override { return kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  std::int32_t getNbOutputs() const noexcept override;
  // Plans for the largest shapes, so that what cannot run is refused before it is built.
  std::int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, std::int32_t inputs,
                               const nvinfer1::DynamicPluginTensorDesc* out,
                               std::int32_t outputs) noexcept override;
  std::int32_t getOutputDataTypes(nvinfer1::DataType* output_types, std::int32_t outputs,
                                  const nvinfer1::DataType* input_types,
                                  std::int32_t inputs) const noexcept override;
  std::int32_t getOutputShapes(const nvinfer1::DimsExprs* in, std::int32_t inputs,
                               const nvinfer1::DimsExprs* shape_in, std::int32_t shape_inputs,
                               nvinfer1::DimsExprs* out, std::int32_t outputs,
                               nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(std::int32_t position,
                                 const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override;
  std::size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* in, std::int32_t inputs,
                               const nvinfer1::DynamicPluginTensorDesc* out,
                               std::int32_t outputs) const noexcept override;

  // Loads the kernels, so that enqueue does nothing but launch them.
  std::int32_t onShapeChange(const nvinfer1::PluginTensorDesc* in, std::int32_t inputs,
                             const nvinfer1::PluginTensorDesc* out,
                             std::int32_t outputs) noexcept override;
  std::int32_t enqueue(const nvinfer1::PluginTensorDesc* in, const nvinfer1::PluginTensorDesc* out,
                       const void* const* inputs, void* const* outputs, void* workspace,
                       cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    return clone();
  }
  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    return fields_.collection();
  }

 private:
  struct Planned {
    bool half;
    std::int64_t rows;
    LaunchPlan plan;
  };
  Block of_type(nvinfer1::DataType type) const;
  const Planned& plan_for(const nvinfer1::PluginTensorDesc& x);

  BlockFields fields_;
  std::optional<Planned> planned_;  // for the last shapes
};

}  // namespace adafuse::plugin
