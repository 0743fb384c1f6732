// Packed B: weights in the orders that the micro-kernels read, made once per operator.
//
// Everything is packed in panels of NR output channels; taps are outermost, channels innermost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "layout/channel_run.h"
#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse {

// Output channels of a panel in files that hold weights by panels.
constexpr std::size_t kStoredPanel = 32;

// Weights of a convolution, (outputs, inputs, taps): a view.
struct ConvWeights {
  const float* weight;  // null where there are `panels`
  const float* bias;    // (outputs)
  std::size_t outputs;
  std::size_t inputs;
  std::size_t taps;
  const float* scale = nullptr;  // (outputs): value = scale * weight, of kInt8; null for 1
  // In place of `weight`: (panels, taps, inputs, kStoredPanel), filled up with zeros.
  const float* panels = nullptr;
  // The weights outlive what is packed from them, which then may read them where they lie.
  bool lasting = false;

  float output_scale(std::size_t output) const { return scale == nullptr ? 1 : scale[output]; }
};

// The weights as (outputs, inputs, taps), in `buffer` if they are stored panel by panel.
ConvWeights in_onnx_order(const ConvWeights& conv, std::vector<float>& buffer);

// The epilogue's bias and scale per output channel, filled up with zeros to whole panels.
class EpilogueConstants {
 public:
  // `input`, `output`: scales of the activations that are read and written, 1 but in kInt8.
  EpilogueConstants(const IgemmKernel& kernel, const ConvWeights& conv, float input = 1,
                    float output = 1);

  // The constants from panel 0 on, valid as long as this object.
  EpiloguePerChannel channels() const { return {bias_.data(), scale_.data()}; }
  float bias(std::size_t output) const { return bias_.data()[output]; }
  float scale(std::size_t output) const { return scale_.data()[output]; }
  void add_bias(const EpilogueConstants& other);
  // Corrects the biases for inputs that are stored `offset` higher than they are.
  void take_offset(const ConvWeights& conv, float offset);

 private:
  std::size_t size_;
  AlignedArray<float> bias_, scale_;
};

// A view of panels of packed B that follow each other in memory.
struct BPanels {
  const char* data;
  std::size_t bytes;  // of a panel
  std::size_t begin;  // number of the panel that `data` begins with
  std::size_t end;
  // Memory that the panel behind the last will be packed from, or null; it is prefetched.
  const char* source = nullptr;
  std::size_t source_bytes = 0;

  const char* operator[](std::size_t panel) const { return data + (panel - begin) * bytes; }
  // The panel behind `panel`, or null.
  const char* after(std::size_t panel) const {
    return panel + 1 < end ? (*this)[panel + 1] : nullptr;
  }
};

// Packed B of a convolution that reads and computes all its channels: a row of a panel per tap and
// K group.
class PackedB {
 public:
  PackedB(const IgemmKernel& kernel, const ConvWeights& conv, const TemporalShift& shift);

  std::size_t count() const { return count_; }
  BPanels panels() const { return {data_, bytes_, 0, count_}; }

 private:
  std::size_t count_;
  std::size_t bytes_;
  AlignedArray<char> weights_;
  const char* data_;
};

// Packed B for chosen K: a row of a panel per tap and single input channel, and one of zeros at the
// end.  pack_chosen_k() makes panels of whole K groups from rows of it.
class PackedBForChosenK {
 public:
  PackedBForChosenK(const IgemmKernel& kernel, const ConvWeights& conv);

  std::size_t count() const { return count_; }
  BPanels panels() const { return {data_, bytes_, 0, count_}; }

 private:
  std::size_t count_;
  std::size_t bytes_;
  AlignedArray<char> weights_;
  const char* data_;
};

// Packed B for chosen N: a row per output channel, of K groups.  pack_chosen_n() transposes chosen
// rows into panels.
class PackedBForChosenN {
 public:
  PackedBForChosenN(const IgemmKernel& kernel, const ConvWeights& conv, const TemporalShift& shift);

  // K groups of a row, and the same rounded up to a multiple of the widest vector.
  std::size_t k_groups() const { return k_groups_; }
  std::size_t depth() const { return depth_; }
  const std::uint32_t* row(std::size_t output) const { return data_ + output * depth_; }
  // A row of zeros.
  const std::uint32_t* zeros() const { return weights_.data(); }

 private:
  std::size_t k_groups_;
  std::size_t depth_;
  AlignedArray<std::uint32_t> weights_;  // a row of zeros and, unless they lie elsewhere, the rows
  const std::uint32_t* data_;
};

}  // namespace adafuse
