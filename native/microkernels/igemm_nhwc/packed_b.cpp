#include "microkernels/igemm_nhwc/packed_b.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "layout/nhwc_layout.h"

namespace adafuse {
namespace {

std::size_t panel_count(const IgemmKernel& kernel, const ConvWeights& conv) {
  return (conv.outputs + kernel.nr - 1) / kernel.nr;
}

// K groups of one tap of a shifted input.
std::size_t shifted_k_groups(const ConvWeights& conv, const TemporalShift& shift,
                             Precision precision) {
  std::size_t k_groups = 0;
  for (const ChannelRun& run : shift.runs(conv.inputs)) {
    k_groups += run.k_groups(precision);
  }
  return k_groups;
}

// Calls body with the precision as a constant, so that the loops inside are plain.
template <typename Body>
void with_precision(Precision precision, Body body) {
  switch (precision) {
    case Precision::kFloat32:
      return body(std::integral_constant<Precision, Precision::kFloat32>{});
    case Precision::kBFloat16:
      return body(std::integral_constant<Precision, Precision::kBFloat16>{});
    case Precision::kInt8:
      return body(std::integral_constant<Precision, Precision::kInt8>{});
  }
}

// Stores the weights of one output: value `index` of K group `k_group` of tap `tap` goes to
// to + tap * tap_bytes + k_group * k_group_bytes, as the input's values lie in its shifted
// K groups.
template <Precision precision>
void store_output(const ConvWeights& conv, const TemporalShift& shift, std::size_t output, char* to,
                  std::size_t tap_bytes, std::size_t k_group_bytes) {
  constexpr std::size_t kKr = kr(precision);
  const float* from = conv.weight + output * conv.inputs * conv.taps;
  char* first = to;  // of the run
  for (const ChannelRun& run : shift.runs(conv.inputs)) {
    std::size_t place = run.begin % kKr;
    for (std::size_t input = run.begin; input < run.end; ++input, ++place) {
      char* const k_group = first + place / kKr * k_group_bytes;
      for (std::size_t tap = 0; tap < conv.taps; ++tap) {
        encode_weight(precision, *from++, k_group + tap * tap_bytes, place % kKr);
      }
    }
    first += run.k_groups(precision) * k_group_bytes;
  }
}

// Whether weights are read in place: lasting float32 that begins on a cache line.
bool stays(const IgemmKernel& kernel, const ConvWeights& conv, const float* weights) {
  return weights != nullptr && conv.lasting && kernel.precision == Precision::kFloat32 &&
         reinterpret_cast<std::uintptr_t>(weights) % kLine == 0;
}
bool panels_stay(const IgemmKernel& kernel, const ConvWeights& conv) {
  return stays(kernel, conv, conv.panels) && kernel.nr == kStoredPanel;
}

}  // namespace

ConvWeights in_onnx_order(const ConvWeights& conv, std::vector<float>& buffer) {
  if (conv.panels == nullptr) {
    return conv;
  }
  buffer.resize(conv.outputs * conv.inputs * conv.taps);
  float* to = buffer.data();
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    const float* const panel =
        conv.panels + output / kStoredPanel * conv.taps * conv.inputs * kStoredPanel;
    for (std::size_t input = 0; input < conv.inputs; ++input) {
      for (std::size_t tap = 0; tap < conv.taps; ++tap) {
        *to++ = panel[(tap * conv.inputs + input) * kStoredPanel + output % kStoredPanel];
      }
    }
  }
  ConvWeights result = conv;
  result.weight = buffer.data();
  result.panels = nullptr;
  return result;
}

EpilogueConstants::EpilogueConstants(const IgemmKernel& kernel, const ConvWeights& conv,
                                     float input, float output)
    : size_(panel_count(kernel, conv) * kernel.nr) {
  std::fill_n(bias_.reserve(size_), size_, 0.0f);
  std::fill_n(scale_.reserve(size_), size_, 0.0f);
  for (std::size_t i = 0; i < conv.outputs; ++i) {
    bias_.data()[i] = conv.bias[i] / output;
    scale_.data()[i] = conv.output_scale(i) * input / output;
  }
}

void EpilogueConstants::add_bias(const EpilogueConstants& other) {
  for (std::size_t i = 0; i < size_; ++i) {
    bias_.data()[i] += other.bias_.data()[i];
  }
}

void EpilogueConstants::take_offset(const ConvWeights& conv, float offset) {
  const std::size_t weights = conv.inputs * conv.taps;
  for (std::size_t i = 0; i < conv.outputs; ++i) {
    double total = 0;
    for (std::size_t k = 0; k < weights; ++k) {
      total += conv.weight[i * weights + k];
    }
    bias_.data()[i] -= offset * static_cast<float>(total) * scale_.data()[i];
  }
}

PackedB::PackedB(const IgemmKernel& kernel, const ConvWeights& given, const TemporalShift& shift)
    : count_(panel_count(kernel, given)) {
  if (panels_stay(kernel, given)) {
    data_ = reinterpret_cast<const char*>(given.panels);
    bytes_ = given.taps * given.inputs * kernel.b_row_bytes();
    return;
  }
  std::vector<float> buffer;
  const ConvWeights conv = in_onnx_order(given, buffer);
  const Precision precision = kernel.precision;
  const std::size_t k_groups = shifted_k_groups(conv, shift, precision);
  const std::size_t width = kernel.nr;
  bytes_ = conv.taps * k_groups * kernel.b_row_bytes();
  char* const packed = weights_.reserve(count_ * bytes_);
  data_ = packed;
  std::memset(packed, 0, count_ * bytes_);
  with_precision(precision, [&](auto constant) {
    for (std::size_t output = 0; output < conv.outputs; ++output) {
      store_output<constant()>(conv, shift, output,
                               packed + output / width * bytes_ + output % width * kGroupBytes,
                               k_groups * kernel.b_row_bytes(), kernel.b_row_bytes());
    }
  });
}

PackedBForChosenK::PackedBForChosenK(const IgemmKernel& kernel, const ConvWeights& given)
    : count_(panel_count(kernel, given)) {
  if (panels_stay(kernel, given)) {  // where no K group needs zeros beside a channel
    data_ = reinterpret_cast<const char*>(given.panels);
    bytes_ = given.taps * given.inputs * kernel.b_channel_row_bytes();
    return;
  }
  std::vector<float> buffer;
  const ConvWeights conv = in_onnx_order(given, buffer);
  const std::size_t width = kernel.nr;
  bytes_ = (conv.taps * conv.inputs + 1) * kernel.b_channel_row_bytes();
  char* const packed = weights_.reserve(count_ * bytes_);
  data_ = packed;
  std::memset(packed, 0, count_ * bytes_);
  with_precision(kernel.precision, [&](auto constant) {
    const float* from = conv.weight;
    for (std::size_t output = 0; output < conv.outputs; ++output) {
      char* const panel = packed + output / width * bytes_;
      for (std::size_t input = 0; input < conv.inputs; ++input) {
        for (std::size_t tap = 0; tap < conv.taps; ++tap) {
          encode_weight(constant(), *from++,
                        panel + (tap * conv.inputs + input) * kernel.b_channel_row_bytes(),
                        output % width);
        }
      }
    }
  });
}

PackedBForChosenN::PackedBForChosenN(const IgemmKernel& kernel, const ConvWeights& given,
                                     const TemporalShift& shift) {
  const Precision precision = kernel.precision;
  const std::size_t tap_k_groups = shifted_k_groups(given, shift, precision);
  k_groups_ = given.taps * tap_k_groups;
  depth_ = round_up(k_groups_, kLine / kGroupBytes);
  if (given.taps == 1 && k_groups_ == depth_ && stays(kernel, given, given.weight)) {
    std::memset(weights_.reserve(depth_), 0, depth_ * kGroupBytes);
    data_ = reinterpret_cast<const std::uint32_t*>(given.weight);
    return;
  }
  std::vector<float> buffer;
  const ConvWeights conv = in_onnx_order(given, buffer);
  const std::size_t size = (conv.outputs + 1) * depth_;
  std::uint32_t* const packed = weights_.reserve(size);
  std::memset(packed, 0, size * kGroupBytes);
  data_ = packed + depth_;
  with_precision(precision, [&](auto constant) {
    for (std::size_t output = 0; output < conv.outputs; ++output) {
      store_output<constant()>(conv, shift, output,
                               reinterpret_cast<char*>(packed + (output + 1) * depth_),
                               tap_k_groups * kGroupBytes, kGroupBytes);
    }
  });
}

}  // namespace adafuse
