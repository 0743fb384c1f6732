// The operator ChannelsLast, version 1: ChannelsLast(X) -> Y, pooled.
//
// X (N, C, H, W) float32; Y (N, H+2b, W+2b, P), the frames for the fused blocks, see
// nhwc_tensors.h; pooled (N, C), the means over each frame.  Attributes: border (b), precision and,
// in int8, scales: of Y (value = scale * integer).
#pragma once

#include <string>

#include "base/recorder.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/operator_schemas.h"

namespace adafuse {

struct ToNhwcAttributes {
  std::size_t border;
  Precision precision;
  float scale;

  // Throws std::invalid_argument.
  static ToNhwcAttributes read(const Attributes& attributes);
};

class ToNhwcKernel {
 public:
  explicit ToNhwcKernel(const OrtKernelInfo* info)
      : node_(Ort::ConstKernelInfo(info).GetNodeName()),
        attributes_(ToNhwcAttributes::read(Attributes(info))) {}
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  ToNhwcAttributes attributes_;
};

class ToNhwcOperator : public SchemaOperator<ToNhwcOperator, ToNhwcKernel> {
 public:
  explicit ToNhwcOperator(bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
