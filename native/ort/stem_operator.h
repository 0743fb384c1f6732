// The operator Stem, version 1: Stem(X, W, B) -> Y, pooled.
//
// X (N, C, H, W) float32; W (Cout, C, k, k) and B (Cout) constant float32, as in Conv padded by
// half the kernel; Y (N, H'+2b, W'+2b, P), frames of convolution, ReLU and 3x3 max pooling of
// stride 2, see nhwc_tensors.h; pooled (N, Cout), the means over each frame of Y.  Attributes:
// stride (of the convolution), pool_pad (0 or 1), pool_ceil (0 or 1), border (b), precision.
//
// QuantizedStem(X, W, B, S) has int8 weights with scales S per output, and the attribute scales: of
// X, which it rounds to 8 signed bits, and of Y (value = scale * integer).
#pragma once

#include <memory>
#include <string>

#include "base/recorder.h"
#include "base/workspace.h"
#include "operators/stem.h"
#include "ort/api.h"
#include "ort/attributes.h"
#include "ort/constants.h"
#include "ort/operator_schemas.h"
#include "ort/tensors.h"

namespace adafuse {

struct StemAttributes {
  std::size_t stride;
  StemPool pool;
  std::size_t border;
  Precision precision;
  StemScales scales;

  // Throws std::invalid_argument.
  static StemAttributes read(const Attributes& attributes, bool quantized);
};

class StemKernel {
 public:
  StemKernel(const char* name, const OrtKernelInfo* info, bool quantized);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context, const NodeRecording* recording) const;

  const std::string node_;
  const char* name_;
  std::unique_ptr<const Stem> stem_;
  const std::shared_ptr<Workspaces> workspaces_ = Workspaces::shared();
};

class StemOperator : public SchemaOperator<StemOperator, StemKernel> {
 public:
  StemOperator(const char* name, bool quantized, bool infers_shapes);

  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;

 private:
  const char* name_;
  bool quantized_;
};

}  // namespace adafuse
