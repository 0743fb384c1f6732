// The operators ConditionalBottleneck and ConditionalBasicBlock, version 1, as ONNX Runtime sees
// them.
//
//   ConditionalBottleneck(X, W1, B1, W2, B2, W3, B3, policy?, WS?, BS?) -> Y, pooled
//   ConditionalBasicBlock(X, W1, B1, W2, B2, policy?, WS?, BS?) -> Y, pooled
//   StreamBottleneck(X, W1, B1, W2, B2, W3, B3, policy, WS?, BS?, X_previous, R_previous, missing)
//       -> Y, pooled, R, next_missing
//   StreamBasicBlock(X, W1, B1, W2, B2, policy, WS?, BS?, X_previous, R_previous, missing)
//       -> Y, pooled, R, next_missing
//
// X (N*T, H+2b, W+2b, P) and Y are frames with channels innermost, see nhwc_tensors.h; weights
// and biases are constant float32, as in Conv; policy (N, T, Cmid) is int32; WS and BS belong to a
// shortcut convolution; pooled (N*T, Cout) are means over each frame of Y.  Attributes: frames (T),
// stride, shift_next, shift_previous and precision.  ResidualBlock says what they compute.  Where a
// shortcut convolution reads X as it is, the shift is in conv1_shift_next and conv1_shift_previous.
//
// QuantizedConditionalBottleneck and QuantizedConditionalBasicBlock have int8 weights, each
// followed by its biases and by its scales S1, ... per output, and the attribute scales: of X, of
// the results of all convolutions but the last, and of Y (value = scale * integer).
//
// Of streams T is 1.  X_previous, R_previous and missing (N, Cmid), int32, are the previous frame's
// X, R and next_missing: see ResidualBlockHistory.
#pragma once

#include <memory>
#include <string>

#include "base/recorder.h"
#include "base/workspace.h"
#include "operators/residual_block.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/constants.h"
#include "ort/operator_schemas.h"
#include "ort/tensors.h"

namespace adafuse {

// Signature that tells the operators apart.
struct ResidualSignature {
  const char* name;
  std::size_t convolutions;  // on the residual path
  bool quantized;
  bool streams = false;  // the next frame of streams rather than clips

  static constexpr std::size_t kInput = 0;
  std::size_t weight(std::size_t convolution) const {
    return 1 + inputs_per_conv(quantized) * convolution;
  }
  std::size_t policy() const { return weight(convolutions); }
  std::size_t shortcut_weight() const { return policy() + 1; }
  std::size_t previous() const { return shortcut_weight() + inputs_per_conv(quantized); }
  std::size_t missing() const { return previous() + 2; }
  static constexpr std::size_t kNextMissing = 3;
};

struct ResidualAttributes {
  std::size_t frames;
  std::size_t stride;
  TemporalShift shift;
  bool shift_shortcut;
  std::optional<bool> winograd;  // decided by the library where the file does not
  Precision precision;
  std::vector<float> scales;  // of X, of all convolutions' results but the last, and of Y

  // Throws std::invalid_argument.
  static ResidualAttributes read(const Attributes& attributes, const ResidualSignature& signature);
};

class ResidualKernel {
 public:
  ResidualKernel(const ResidualSignature& signature, const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;
  // Throws std::invalid_argument where a stream's state does not fit its frame.
  void check_history(const Ort::KernelContext& context, const NamedTensor& x,
                     const NhwcLayout& input, const std::optional<Policy>& policy) const;
  void run_streams(const Ort::KernelContext& context, const NamedTensor& x, const NhwcLayout& input,
                   const ResidualBlockTensors& tensors, const Policy& policy,
                   const NodeRecording* recording) const;

  const std::string node_;
  const ResidualSignature& signature_;
  std::size_t frames_;
  std::unique_ptr<const ResidualBlock> block_;
  mutable WrittenMemory weights_;  // those that are read in the session's memory
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class ResidualOperator : public SchemaOperator<ResidualOperator, ResidualKernel> {
 public:
  ResidualOperator(const ResidualSignature& signature, bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;

 private:
  ResidualSignature signature_;
};

}  // namespace adafuse
