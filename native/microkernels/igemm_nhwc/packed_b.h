// Weights in the orders the tile kernel reads, made once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "layout/channel_run.h"
#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse {

// Output channels that lie side by side where weights are stored panel by panel.
constexpr std::size_t kStoredPanel = 32;

// A dense convolution (outputs, inputs, taps).
struct ConvWeights {
  const float* weight;  // null where there are `panels`
  const float* bias;    // (outputs)
  std::size_t outputs;
  std::size_t inputs;
  std::size_t taps;
  const float* scale = nullptr;  // (outputs): what a weight of one stands for; null: for one
  // In place of `weight`: (panels, taps, inputs, kStoredPanel), filled up with zeros.
  const float* panels = nullptr;
  // They outlive what is packed from them, which then uses them where they lie if the order fits.
  bool lasting = false;

  float output_scale(std::size_t output) const { return scale == nullptr ? 1 : scale[output]; }
};

// What happens to a convolution's sums, per output and to whole panels.
class SumConstants {
 public:
  // `input` and `output` are what a stored value of one stands for there.
  SumConstants(const TileKernel& kernel, const ConvWeights& conv, float input = 1,
               float output = 1);

  // Of panel 0 onwards.
  PerChannel channels() const { return {bias_.data(), scale_.data()}; }
  float bias(std::size_t output) const { return bias_.data()[output]; }
  float scale(std::size_t output) const { return scale_.data()[output]; }
  void add_bias(const SumConstants& other);
  // Makes up for inputs that are stored `offset` higher.
  void take_offset(const ConvWeights& conv, float offset);

 private:
  std::size_t size_;
  AlignedArray<float> bias_, scale_;
};

// Panels that follow each other in memory.
struct Panels {
  const char* data;
  std::size_t bytes;  // of a panel
  std::size_t begin;  // number of the panel that `data` begins with
  std::size_t end;
  // What the panel behind the last will be made of, or null.
  const char* source = nullptr;
  std::size_t source_bytes = 0;

  const char* operator[](std::size_t panel) const { return data + (panel - begin) * bytes; }
  // The one behind, or null.
  const char* after(std::size_t panel) const {
    return panel + 1 < end ? (*this)[panel + 1] : nullptr;
  }
};

// For a convolution that reads and computes all its channels: panel by panel, a weight row per unit
// of input, taps outermost.
class PanelWeights {
 public:
  PanelWeights(const TileKernel& kernel, const ConvWeights& conv, const TemporalShift& shift);

  std::size_t count() const { return count_; }
  Panels panels() const { return {data_, bytes_, 0, count_}; }

 private:
  std::size_t count_;
  std::size_t bytes_;
  AlignedArray<char> weights_;
  const char* data_;
};

// For a convolution whose inputs are chosen at run time: panel by panel, a row per input channel,
// taps outermost, and one of zeros.
class ChannelWeights {
 public:
  ChannelWeights(const TileKernel& kernel, const ConvWeights& conv);

  std::size_t count() const { return count_; }
  Panels panels() const { return {data_, bytes_, 0, count_}; }

 private:
  std::size_t count_;
  std::size_t bytes_;
  AlignedArray<char> weights_;
  const char* data_;
};

// For a convolution whose outputs are chosen at run time: output by output, taps outermost.
class OutputWeights {
 public:
  OutputWeights(const TileKernel& kernel, const ConvWeights& conv, const TemporalShift& shift);

  // Units of an output's weights, and those to a multiple of the widest vector.
  std::size_t units() const { return units_; }
  std::size_t depth() const { return depth_; }
  const std::uint32_t* row(std::size_t output) const { return data_ + output * depth_; }
  const std::uint32_t* zeros() const { return weights_.data(); }

 private:
  std::size_t units_;
  std::size_t depth_;
  AlignedArray<std::uint32_t> weights_;  // a row of zeros and, unless they lie elsewhere, the rows
  const std::uint32_t* data_;
};

}  // namespace adafuse
