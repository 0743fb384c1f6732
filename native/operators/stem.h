// The stem of a network: convolution, ReLU and 3x3 max pooling, from NCHW pictures to NHWC frames.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/igemm.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "microkernels/pool3x3/pool3x3.h"

namespace adafuse {

// 3x3 max pooling of stride 2.
struct StemPool {
  std::size_t pad;  // 0 or 1
  bool ceil;        // a last window may reach beyond the plane

  std::size_t output_size(std::size_t input) const;
};

// Layout of the frames made from pictures of this height and width; border and pitch are those of
// the result.
NhwcLayout stem_layout(const NhwcLayout& picture, std::size_t stride, const StemPool& pool);

// Scales in kInt8: value = scale * stored integer.  Pictures are stored 128 higher, so that no
// stored integer is negative.
struct StemScales {
  float input = 1, output = 1;
};

class Stem {
 public:
  // `conv` has a square kernel of odd size, is padded by half of it and moves by `stride`.  Packs
  // the weights, which need not outlive the call.
  Stem(const ConvWeights& conv, std::size_t stride, const StemPool& pool, std::size_t border,
       const IgemmKernel& kernel, const StemScales& scales = {});

  std::size_t in_channels() const { return in_channels_; }
  std::size_t out_channels() const { return out_channels_; }
  NhwcLayout output_layout(std::size_t height, std::size_t width) const;

  // `input` (frames, in_channels, height, width), `output` (frames) frames of the output layout and
  // `pooled` (frames, out_channels), the means over each.
  void run(const float* input, std::size_t frames, std::size_t height, std::size_t width,
           char* output, float* pooled, const ParallelFor& parallel_for,
           Workspaces& workspaces) const;

 private:
  struct Plane;

  std::vector<KEntry> entries(std::size_t pixel_row) const;
  std::size_t padded_bytes(const Plane& plane, std::size_t rows) const;
  void pad_rows(const Plane& plane, const float* input, std::size_t first, std::size_t count,
                char* pixels) const;
  void convolve_row(const Plane& plane, const char* pixels, char* row) const;
  void pool_row(const Plane& plane, const std::array<const char*, kPoolWindow>& rows, char* output,
                float* partials) const;

  const IgemmKernel& kernel_;
  const Pool3x3Kernel& pool_kernel_;
  std::size_t in_channels_;
  std::size_t out_channels_;
  std::size_t size_;  // of the convolution's kernel
  std::size_t stride_;
  StemPool pool_;
  std::size_t border_;
  PackedB weights_;
  StemScales scales_;
  EpilogueConstants epilogue_;
};

}  // namespace adafuse
