#include "kernels/packed_weights.h"

#include <algorithm>
#include <cstring>

#include "kernels/frame_layout.h"

namespace adafuse {
namespace {

std::size_t panel_count(const TileKernel& kernel, const ConvWeights& conv) {
  return (conv.outputs + kernel.panel_width() - 1) / kernel.panel_width();
}

// Units of one tap of a shifted input.
std::size_t shifted_units(const ConvWeights& conv, const TemporalShift& shift,
                          Precision precision) {
  std::size_t units = 0;
  for (const ChannelRun& run : shift.runs(conv.inputs)) {
    units += run.units(precision);
  }
  return units;
}

// Calls visit(output, tap, input, place) for every weight; places count a tap's values as they lie
// in the units of the shifted input.
template <typename Visit>
void for_each_weight(const ConvWeights& conv, const TemporalShift& shift, Precision precision,
                     Visit visit) {
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    std::size_t first_unit = 0;
    for (const ChannelRun& run : shift.runs(conv.inputs)) {
      for (std::size_t input = run.begin; input < run.end; ++input) {
        const std::size_t place = first_unit * per_unit(precision) + input -
                                  run.first_unit(precision) * per_unit(precision);
        for (std::size_t tap = 0; tap < conv.taps; ++tap) {
          visit(output, tap, place, conv.weight[(output * conv.inputs + input) * conv.taps + tap]);
        }
      }
      first_unit += run.units(precision);
    }
  }
}

}  // namespace

SumConstants::SumConstants(const TileKernel& kernel, const ConvWeights& conv, float input,
                           float output)
    : size_(panel_count(kernel, conv) * kernel.panel_width()) {
  std::fill_n(bias_.reserve(size_), size_, 0.0f);
  std::fill_n(scale_.reserve(size_), size_, 0.0f);
  for (std::size_t i = 0; i < conv.outputs; ++i) {
    bias_.data()[i] = conv.bias[i] / output;
    scale_.data()[i] = conv.output_scale(i) * input / output;
  }
}

void SumConstants::add_bias(const SumConstants& other) {
  for (std::size_t i = 0; i < size_; ++i) {
    bias_.data()[i] += other.bias_.data()[i];
  }
}

void SumConstants::take_offset(const ConvWeights& conv, float offset) {
  const std::size_t weights = conv.inputs * conv.taps;
  for (std::size_t i = 0; i < conv.outputs; ++i) {
    double total = 0;
    for (std::size_t k = 0; k < weights; ++k) {
      total += conv.weight[i * weights + k];
    }
    bias_.data()[i] -= offset * static_cast<float>(total) * scale_.data()[i];
  }
}

PanelWeights::PanelWeights(const TileKernel& kernel, const ConvWeights& conv,
                           const TemporalShift& shift)
    : count_(panel_count(kernel, conv)) {
  const Precision precision = kernel.precision;
  const std::size_t units = shifted_units(conv, shift, precision);
  const std::size_t width = kernel.panel_width();
  bytes_ = conv.taps * units * kernel.weight_row();
  char* const packed = weights_.reserve(count_ * bytes_);
  std::memset(packed, 0, count_ * bytes_);
  for_each_weight(conv, shift, precision,
                  [&](std::size_t output, std::size_t tap, std::size_t place, float value) {
                    const std::size_t unit = tap * units + place / per_unit(precision);
                    encode_weight(
                        precision, value,
                        packed + output / width * bytes_ + unit * kernel.weight_row(),
                        output % width * per_unit(precision) + place % per_unit(precision));
                  });
}

ChannelWeights::ChannelWeights(const TileKernel& kernel, const ConvWeights& conv)
    : count_(panel_count(kernel, conv)),
      bytes_((conv.taps * conv.inputs + 1) * kernel.channel_row()) {
  const std::size_t width = kernel.panel_width();
  char* const packed = weights_.reserve(count_ * bytes_);
  std::memset(packed, 0, count_ * bytes_);
  const float* from = conv.weight;
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    char* const panel = packed + output / width * bytes_;
    for (std::size_t input = 0; input < conv.inputs; ++input) {
      for (std::size_t tap = 0; tap < conv.taps; ++tap) {
        encode_weight(kernel.precision, *from++,
                      panel + (tap * conv.inputs + input) * kernel.channel_row(), output % width);
      }
    }
  }
}

OutputWeights::OutputWeights(const TileKernel& kernel, const ConvWeights& conv,
                             const TemporalShift& shift)
    : outputs_(conv.outputs) {
  const Precision precision = kernel.precision;
  const std::size_t tap_units = shifted_units(conv, shift, precision);
  units_ = conv.taps * tap_units;
  depth_ = round_up(units_, kLine / kUnit);
  const std::size_t size = (outputs_ + 1) * depth_;
  std::uint32_t* const packed = weights_.reserve(size);
  std::memset(packed, 0, size * kUnit);
  for_each_weight(conv, shift, precision,
                  [&](std::size_t output, std::size_t tap, std::size_t place, float value) {
                    encode_weight(precision, value,
                                  reinterpret_cast<char*>(packed + output * depth_),
                                  tap * tap_units * per_unit(precision) + place);
                  });
}

}  // namespace adafuse
