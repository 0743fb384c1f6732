// The operator FrameConv, version 1:
//
//   FrameConv(X, W, B, policy?, input_policy?, X2?, input_policy2?, ... X6?, input_policy6?)
//     -> Y, pooled
//
// X, X2, ... (N*T, H+2b, W+2b, P) hold the input's channels side by side, Y (N*T, H'+2b', W'+2b',
// P') convolution and ReLU: frames as in frames.h, in CompactFrames order where they have a policy
// (N, T, C).  W and B are constant float32, as in Conv padded by half; pooled (N*T, Cout) are means
// over each frame as the next layer sees it.  Attributes: channels (of each X), stride,
// input_border (b), border (b'), precision.
#pragma once

#include <memory>
#include <vector>

#include "kernels/frame_conv.h"
#include "onnxruntime/api.h"

namespace adafuse {

class FrameConvKernel {
 public:
  explicit FrameConvKernel(const OrtKernelInfo* info);
  OrtStatusPtr ComputeV2(OrtKernelContext* context) const;

 private:
  void compute(const Ort::KernelContext& context) const;

  std::vector<FrameSourceSpec> sources_;
  std::size_t input_border_;
  std::unique_ptr<const FrameConv> conv_;
};

class FrameConvOperator : public Ort::CustomOpBase<FrameConvOperator, FrameConvKernel, true> {
 public:
  explicit FrameConvOperator(bool infers_shapes);

  const char* GetName() const { return "FrameConv"; }
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  std::size_t GetInputTypeCount() const;
  ONNXTensorElementDataType GetInputType(std::size_t index) const;
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(std::size_t index) const;
  std::size_t GetOutputTypeCount() const { return 2; }
  ONNXTensorElementDataType GetOutputType(std::size_t /*index*/) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const;
};

}  // namespace adafuse
