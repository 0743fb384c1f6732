// The operator PolicyHistory, version 1, as ONNX Runtime sees it.
//
//   PolicyHistory(V_previous, W0) -> P
//
// V_previous (M, F), the previous features of any policy networks that share W0 (H, 2F), float32 or
// bfloat16, and P (M, H) are float32.  weigh_history() says what it computes.
#pragma once

#include "ort/api.h"
#include "ort/tensors.h"

namespace adafuse {

class PolicyHistoryKernel {
 public:
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;
};

class PolicyHistoryOperator
    : public Ort::CustomOpBase<PolicyHistoryOperator, PolicyHistoryKernel, true> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  explicit PolicyHistoryOperator(bool infers_shapes);

  const char* GetName() const { return "PolicyHistory"; }
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  std::size_t GetInputTypeCount() const { return 2; }
  ONNXTensorElementDataType GetInputType(std::size_t index) const {
    return index == 1 ? kFloatingPoint : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  std::size_t GetOutputTypeCount() const { return 1; }
  ONNXTensorElementDataType GetOutputType(std::size_t /*index*/) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
