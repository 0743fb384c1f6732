// The operator PolicyNetwork, version 1, as ONNX Runtime sees it.
//
//   PolicyNetwork(V_previous?, V, W0, S0, B0, W1, B1, P?) -> policy
//
// V and V_previous (N * T, F) are float32, as are S0 and B0 (H), B1 (AC) and P (N * T, H), what
// PolicyHistory gives for V_previous, which is not read then; W0 (H, 2F), or (H, F) without
// V_previous, and W1 (H, AC) are float32 or bfloat16; policy (N, T, C) is int32.  The attribute
// frames is T, actions (optional) the A of 0, 1 and 2 that a channel's logits stand for, all three
// unless said; relu (optional) 0 where none stands behind the hidden units.  decide() says what it
// computes.
#pragma once

#include <memory>

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
  PolicyAttributes attributes_;
  mutable WrittenMemory weights_;  // that are read where the session holds them
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class PolicyOperator : public SchemaOperator<PolicyOperator, PolicyKernel> {
 public:
  // Shape inference is optional: see can_infer_shapes().
  explicit PolicyOperator(bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
