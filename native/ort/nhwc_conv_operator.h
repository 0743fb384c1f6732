// The operator FrameConv, version 1:
//
//   FrameConv(X, W, B, policy?, input_policy?, X2?, input_policy2?, ... X6?, input_policy6?)
//     -> Y, pooled
//
// X, X2, ... (N*T, H+2b, W+2b, P) hold the input's channels side by side, Y (N*T, H'+2b', W'+2b',
// P') convolution and ReLU: frames as in nhwc_tensors.h, in CompactNhwc order where they have a
// policy (N, T, C).  W and B are constant float32, as in Conv padded by half; pooled (N*T, Cout)
// are means over each frame as the next layer sees it.  Attributes: channels (of each X), stride,
// input_border (b), border (b'), precision.
//
// QuantizedFrameConv(X, W, B, S, policy?, ...) has int8 weights with scales S per output, and the
// attribute scales: of X, X2, ... together and of Y (value = scale * integer).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/recorder.h"
#include "base/workspace.h"
#include "operators/nhwc_conv.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/constants.h"
#include "ort/operator_schemas.h"

namespace adafuse {

// Signature that tells the operators apart.
struct NhwcConvSignature {
  const char* name;
  bool quantized;

  static constexpr std::size_t kInput = 0, kWeight = 1;
  std::size_t policy() const { return kWeight + inputs_per_conv(quantized); }
  std::size_t source_input(std::size_t source) const {
    return source == 0 ? kInput : policy() + 2 * source;
  }
  std::size_t source_policy(std::size_t source) const { return policy() + 1 + 2 * source; }
};

struct NhwcConvAttributes {
  std::vector<std::size_t> channels;  // of X, X2, ...
  std::size_t stride;
  std::size_t input_border;
  std::size_t border;
  std::optional<bool> winograd;  // decided by the library where the file does not
  Precision precision;
  ActivationScales scales;

  // Throws std::invalid_argument.
  static NhwcConvAttributes read(const Attributes& attributes, bool quantized);

  NhwcLayout output_layout(const NhwcLayout& input, std::size_t outputs) const;
};

class NhwcConvKernel {
 public:
  NhwcConvKernel(const NhwcConvSignature& signature, const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  const NhwcConvSignature& signature_;
  NhwcConvAttributes attributes_;
  std::unique_ptr<const NhwcConv> conv_;
  mutable WrittenMemory weights_;  // those that are read in the session's memory
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class NhwcConvOperator : public SchemaOperator<NhwcConvOperator, NhwcConvKernel> {
 public:
  NhwcConvOperator(const NhwcConvSignature& signature, bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;

 private:
  NhwcConvSignature signature_;
};

}  // namespace adafuse
