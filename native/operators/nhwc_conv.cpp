#include "operators/nhwc_conv.h"

#include <algorithm>
#include <stdexcept>

#include "microkernels/winograd/winograd.h"
#include "operators/nhwc_conv_run.h"

namespace adafuse {
namespace {

// Weights of inputs [first, first + count), (outputs, count, taps).
std::vector<float> slice_inputs(const ConvWeights& conv, std::size_t first, std::size_t count) {
  std::vector<float> weights;
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    const float* const from = conv.weight + (output * conv.inputs + first) * conv.taps;
    weights.insert(weights.end(), from, from + count * conv.taps);
  }
  return weights;
}

// Whether compact inputs are merged where K blocks are longer than one: not those of a 1x1
// convolution of one tensor, which are two runs at most.
bool pays_merging(const std::vector<NhwcSourceSpec>& sources, std::size_t size) {
  return (sources.size() > 1 || size > 1) &&
         std::all_of(sources.begin(), sources.end(),
                     [](const NhwcSourceSpec& source) { return source.compact; });
}

void require(bool condition, const char* rule) {
  if (!condition) {
    throw std::invalid_argument(rule);
  }
}

// Returns the specification if its parts fit each other, before anything is packed.
const NhwcConvSpec& validated(const NhwcConvSpec& spec) {
  require(spec.conv.taps == 1 || spec.conv.taps == 9, "the kernel must be 1x1 or 3x3");
  require(spec.conv.weight != nullptr, "the weights must be (outputs, inputs, k, k)");
  require(spec.conv.inputs > 0 && spec.conv.outputs > 0, "there must be inputs and outputs");
  require(spec.stride >= 1, "the stride must be positive");
  require(spec.conv.taps == 1 || spec.input_border >= 1,
          "input_border must be positive for a kernel of 3x3");
  require(!spec.sources.empty() && spec.sources.size() <= kMaxSources,
          "the input must lie in 1 to 6 tensors");
  std::size_t inputs = 0;
  for (const NhwcSourceSpec& source : spec.sources) {
    require(source.channels > 0 && source.channels <= spec.conv.inputs,
            "channels must name as many as the weights have inputs, some for each tensor");
    inputs += source.channels;
  }
  require(inputs == spec.conv.inputs,
          "channels must name as many as the weights have inputs, some for each tensor");
  return spec;
}

}  // namespace

NhwcConv::NhwcConv(const NhwcConvSpec& spec, const IgemmKernel& kernel)
    : kernel_(kernel),
      outputs_(validated(spec).conv.outputs),
      size_(spec.conv.taps == 9 ? 3 : 1),
      stride_(spec.stride),
      input_border_(spec.input_border),
      border_(spec.border),
      compact_(spec.compact),
      winograd_(spec.winograd && size_ == 3 && stride_ == 1 &&
                kernel.precision == Precision::kFloat32),
      output_scale_(spec.scales.output),
      epilogue_(kernel, spec.conv, spec.scales.input, spec.scales.output),
      sources_(spec.sources),
      merges_(kernel.k_block > 1 && pays_merging(spec.sources, size_)) {
  const std::vector<NhwcSourceSpec> terms =
      merges_ ? std::vector<NhwcSourceSpec>{{spec.conv.inputs, true}} : sources_;
  std::size_t first = 0;
  for (const NhwcSourceSpec& term : terms) {
    const std::vector<float> weights = slice_inputs(spec.conv, first, term.channels);
    const ConvWeights plain{weights.data(), spec.conv.bias, outputs_, term.channels,
                            spec.conv.taps};
    const std::optional<WinogradWeights> transformed =
        winograd_ ? std::optional<WinogradWeights>(plain) : std::nullopt;
    const ConvWeights& part = transformed ? transformed->conv() : plain;
    Term& packed = terms_.emplace_back(
        Term{term.channels, term.compact, std::nullopt, std::nullopt, std::nullopt});
    if (spec.compact) {
      packed.chosen_n.emplace(kernel, part, TemporalShift{});
    } else if (term.compact) {
      packed.chosen_k.emplace(kernel, part);
    } else {
      packed.dense.emplace(kernel, part, TemporalShift{});
    }
    first += term.channels;
  }
}

NhwcLayout NhwcConv::input_layout(std::size_t source, std::size_t height, std::size_t width) const {
  return {height, width, input_border_,
          channel_pitch(sources_[source].channels, kernel_.precision)};
}

NhwcLayout NhwcConv::output_layout(std::size_t height, std::size_t width) const {
  return {ceil_div(height, stride_), ceil_div(width, stride_), border_,
          channel_pitch(outputs_, kernel_.precision)};
}

void NhwcConv::run(std::size_t frames, std::size_t height, std::size_t width,
                   const NhwcConvTensors& tensors, const ParallelFor& parallel_for,
                   Workspaces& workspaces, const NodeRecording* recording) const {
  if (checked_product({frames, height, width}) > 0) {
    NhwcConvRun(*this, frames, height, width, tensors, parallel_for, workspaces, recording).run();
  }
}

}  // namespace adafuse
