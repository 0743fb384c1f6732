// The operators GatedConv and SkipConv, version 1, as ONNX Runtime sees them.
//
//   GatedConv(X, W, B, policy, input_policy?) -> Y
//   SkipConv(X, W, B, input_policy) -> Y
//
// X (N*T, Cin, H, W), W (Cout, Cin, kH, kW), B (Cout) and Y (N*T, Cout, H', W') are float32, policy
// (N, T, Cout) and input_policy (N, T, Cin) int32.  Required attributes: strides (y, x) and pads
// (top, left, bottom, right).  conditional_conv() says what they compute.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/recorder.h"
#include "base/workspace.h"
#include "ort/api.h"
#include "ort/conv_node.h"
#include "ort/operator_schemas.h"

namespace adafuse {

// Signature that tells the operators apart: places of the policies among the inputs.
struct ConvSignature {
  const char* name;
  std::optional<std::size_t> policy;
  std::size_t input_policy;
};

class ConvKernel {
 public:
  ConvKernel(const ConvSignature& signature, const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  const ConvSignature& signature_;
  ConvAttributes attributes_;
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class ConvOperator : public SchemaOperator<ConvOperator, ConvKernel> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  ConvOperator(const ConvSignature& signature, bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;

 private:
  ConvSignature signature_;
};

}  // namespace adafuse
