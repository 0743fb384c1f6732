// The operator StreamGatedConv, version 1, as ONNX Runtime sees it.
//
//   StreamGatedConv(X, W, B, policy, X_previous, R_previous, missing, input_policy?,
//                   previous_input_policy?) -> Y, R, next_missing
//
// X, X_previous (N, Cin, H, W), W (Cout, Cin, kH, kW), B (Cout), R_previous, Y and R
// (N, Cout, H', W') are float32, policy (N, 1, Cout), missing and next_missing (N, Cout) and the
// input policies (N, 1, Cin) int32.  Required attributes: strides and pads as for GatedConv.
// stream_conv() says what it computes.
#pragma once

#include <memory>
#include <string>

#include "base/recorder.h"
#include "base/workspace.h"
#include "ort/api.h"
#include "ort/conv_node.h"
#include "ort/operator_schemas.h"

namespace adafuse {

class StreamConvKernel {
 public:
  explicit StreamConvKernel(const OrtKernelInfo* info)
      : node_(Ort::ConstKernelInfo(info).GetNodeName()),
        attributes_(ConvAttributes::read(Attributes(info))) {}
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  ConvAttributes attributes_;
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class StreamConvOperator : public SchemaOperator<StreamConvOperator, StreamConvKernel> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  explicit StreamConvOperator(bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
