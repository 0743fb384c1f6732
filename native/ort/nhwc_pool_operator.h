// The operator FramePool, version 1: FramePool(X, input_policy?, policy?) -> Y, pooled.
//
// 3x3 pooling of frames X (N*T, H+2b, W+2b, P) into Y (N*T, H'+2b', W'+2b', P), see nhwc_tensors.h,
// in CompactNhwc order where they have a policy (N, T, C).  `policy` decides over the result;
// without it Y is stored as X is.  pooled (N*T, C) are means over each frame as the next layer sees
// it. Attributes: channels (C), mode ("max" or "mean"), stride (1 or 2), pad (0 or 1; a mean counts
// padding as zeros), ceil (0 or 1), input_border (b), border (b'), precision.
//
// QuantizedFramePool has the attribute scales: of X and of Y (value = scale * integer).
#pragma once

#include <memory>
#include <string>

#include "base/recorder.h"
#include "base/workspace.h"
#include "operators/nhwc_pool.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/operator_schemas.h"
#include "ort/tensors.h"

namespace adafuse {

struct NhwcPoolAttributes {
  std::size_t channels;
  NhwcPool pool;

  // Throws std::invalid_argument.
  static NhwcPoolAttributes read(const Attributes& attributes, bool quantized);

  // Layouts of X with dimensions `x` and of Y.  Throw std::invalid_argument where these are no
  // frames.
  NhwcLayout input_layout(const Dims& x) const;
  NhwcLayout output_layout(const Dims& x) const;
};

class NhwcPoolKernel {
 public:
  NhwcPoolKernel(const char* name, const OrtKernelInfo* info, bool quantized)
      : node_(Ort::ConstKernelInfo(info).GetNodeName()),
        name_(name),
        attributes_(NhwcPoolAttributes::read(Attributes(info), quantized)) {}
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  const char* name_;
  NhwcPoolAttributes attributes_;
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class NhwcPoolOperator : public SchemaOperator<NhwcPoolOperator, NhwcPoolKernel> {
 public:
  NhwcPoolOperator(const char* name, bool quantized, bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;

 private:
  const char* name_;
  bool quantized_;
};

}  // namespace adafuse
