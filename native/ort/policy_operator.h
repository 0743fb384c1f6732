// The operator PolicyNetwork, version 1, as ONNX Runtime sees it.
//
//   PolicyNetwork(V_previous?, V, W0, S0, B0, W1, B1, P?) -> policy
//
//   V, V_previous  float32 (N * T, F): pooled features of the frames and of the frames before them
//   W0             float32 or bfloat16 (H, 2F); (H, F) without V_previous
//   S0, B0         float32 (H): factors and biases of the hidden units
//   W1, B1         float32 or bfloat16 (H, AC); float32 (AC)
//   P              float32 (N * T, H): PolicyHistory's result, in place of reading V_previous
//   policy         int32 (N, T, C)
//
// Attributes: frames (T); actions (optional), the A actions of a channel's logits, by default 0, 1,
// 2; relu (optional), 0 for hidden units without ReLU.  decide() says what it computes.
#pragma once

#include <memory>
#include <string>

#include "base/workspace.h"
#include "operators/policy_network.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/operator_schemas.h"

namespace adafuse {

struct PolicyAttributes {
  std::size_t frames;
  PolicyActions actions;
  bool rectifies;

  // Throws std::invalid_argument.
  static PolicyAttributes read(const Attributes& attributes);
};

class PolicyKernel {
 public:
  explicit PolicyKernel(const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  const std::string node_;
  PolicyAttributes attributes_;
  mutable WrittenMemory weights_;  // those that are read in the session's memory
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class PolicyOperator : public SchemaOperator<PolicyOperator, PolicyKernel> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  explicit PolicyOperator(bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
