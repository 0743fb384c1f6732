// The operator Stem, version 1: Stem(X, W, B) -> Y, pooled.
//
// X (N, C, H, W) float32; W (Cout, C, k, k) and B (Cout) constant float32, as in Conv padded by
// half the kernel; Y (N, H'+2b, W'+2b, P), frames of convolution, ReLU and 3x3 max pooling in steps
// of two, see frames.h; pooled (N, Cout), the means over each frame of Y.  Attributes: stride (of
// the convolution), pool_pad (0 or 1), pool_ceil (0 or 1), border (b), precision.
#pragma once

#include <memory>

#include "kernels/stem.h"
#include "onnxruntime/api.h"

namespace adafuse {

class StemKernel {
 public:
  explicit StemKernel(const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context) const;

  std::unique_ptr<const Stem> stem_;
};

class StemOperator : public Ort::CustomOpBase<StemOperator, StemKernel, true> {
 public:
  explicit StemOperator(bool infers_shapes);

  const char* GetName() const { return "Stem"; }
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  std::size_t GetInputTypeCount() const { return 3; }
  ONNXTensorElementDataType GetInputType(std::size_t /*index*/) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  std::size_t GetOutputTypeCount() const { return 2; }
  ONNXTensorElementDataType GetOutputType(std::size_t /*index*/) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
