// GatedConv and SkipConv (docs/operators.md) as plugins of TensorRT, version 3 of their interface.
#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "tensorrt/launch_plan.h"

namespace adafuse::plugin {

constexpr const char* kNamespace = "ai.adafuse";
constexpr const char* kVersion = "1";

enum class Operator { gated_conv, skip_conv };
const char* name_of(Operator kind);

// The attributes, as in ONNX, and one of ours: with `packed` not zero the weights are in the order
// that the kernels read, GatedConv's without an input policy (Cout, kH, kW, Cin), all others
// (kH, kW, Cin, Cout); else they are (Cout, Cin, kH, kW) and brought into it in every run.
struct ConvAttributes {
  std::array<std::int32_t, 2> strides{1, 1};
  std::array<std::int32_t, 4> pads{};  // top, left, bottom, right
  std::int32_t packed = 0;
};

class ConvPlugin final : public nvinfer1::IPluginV3,
                         public nvinfer1::IPluginV3OneCore,
                         public nvinfer1::v_1_0::IPluginV3OneBuild,
                         public nvinfer1::IPluginV3OneRuntime {
 public:
  ConvPlugin(Operator kind, const ConvAttributes& attributes);
  ConvPlugin(const ConvPlugin& other);
  ConvPlugin& operator=(const ConvPlugin&) = delete;

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3* clone() noexcept override;

  const char* getPluginName() const noexcept override { return name_of(kind_); }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  std::int32_t getNbOutputs() const noexcept override { return 1; }
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
  // Feature maps are float32 or float16, NCHW or NHWC (of float16 in vectors of eight channels).
  bool supportsFormatCombination(std::int32_t position,
                                 const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 std::int32_t inputs, std::int32_t outputs) noexcept override;
  std::size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* in, std::int32_t inputs,
                               const nvinfer1::DynamicPluginTensorDesc* out,
                               std::int32_t outputs) const noexcept override;

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
    return &collection_;
  }

 private:
  // Throws std::runtime_error where shapes contradict each other.
  // `inputs`: all of them.  Throws std::runtime_error where they do not fit each other.
  ConvProblem problem(const std::vector<nvinfer1::Dims>& inputs, nvinfer1::DataType type,
                      nvinfer1::TensorFormat format) const;
  bool skipping(std::int32_t inputs) const;

  Operator kind_;
  ConvAttributes attributes_;
  std::array<nvinfer1::PluginField, 3> fields_;
  nvinfer1::PluginFieldCollection collection_;
  std::optional<ConvProblem> planned_;
  LaunchPlan plan_;
};

}  // namespace adafuse::plugin
