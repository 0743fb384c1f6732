// The operator PolicyHistory, version 1, as ONNX Runtime sees it.
//
//   PolicyHistory(V_previous, W0) -> P
//
// V_previous (M, F), the previous features of any policy networks that share W0 (H, 2F), float32 or
// bfloat16, and P (M, H) are float32.  weigh_history() says what it computes.
#pragma once

#include "ort/api.h"
#include "ort/operator_schemas.h"
#include "ort/tensors.h"

namespace adafuse {

class PolicyHistoryKernel {
 public:
  explicit PolicyHistoryKernel(const OrtKernelInfo* info)
      : node_(Ort::ConstKernelInfo(info).GetNodeName()) {}
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  const std::string node_;
};

class PolicyHistoryOperator : public SchemaOperator<PolicyHistoryOperator, PolicyHistoryKernel> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  explicit PolicyHistoryOperator(bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
