// A residual block under sizes, policies and state that any caller can set, as clips and streams.
//
// The first bytes choose a block of at most some dozens of channels; those behind them are read
// round and round as actions, as what is missing in a stream's state, and as activations: NaN and
// infinity too.  All memory has exactly the size that the block asks for.
#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <vector>

#include "fuzz/target.h"
#include "operators/residual_block.h"
#include "tests/parallel.h"

namespace adafuse {
namespace {

// The bytes, read round and round; zeros where there are none.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t next() { return size_ == 0 ? 0 : data_[at_++ % size_]; }

  std::size_t between(std::size_t least, std::size_t most) {
    return least + next() % (most - least + 1);
  }

  // Mostly what a policy or a state holds, at times anything.
  std::int32_t action() {
    const std::uint8_t byte = next();
    if (byte < 250) {
      return byte % 3;
    }
    return static_cast<std::int32_t>(next() << 24 | next() << 16 | next() << 8 | next());
  }

  template <class T>
  std::vector<T> fill(std::size_t count) {
    std::vector<T> values(count);
    for (std::size_t i = 0; i < count * sizeof(T) && size_ > 0; ++i) {
      reinterpret_cast<char*>(values.data())[i] = static_cast<char>(next());
    }
    return values;
  }

  std::vector<std::int32_t> actions(std::size_t count) {
    std::vector<std::int32_t> values(count);
    std::generate(values.begin(), values.end(), [&] { return action(); });
    return values;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

// Weights of a convolution; what they are does not matter.
struct Weights {
  std::vector<float> values, biases, scales;
  std::size_t outputs, inputs, taps;

  Weights(std::size_t outputs, std::size_t inputs, std::size_t taps)
      : values(outputs * inputs * taps, 1),
        biases(outputs),
        scales(outputs, 0.01f),
        outputs(outputs),
        inputs(inputs),
        taps(taps) {}

  ConvWeights view(Precision precision) const {
    return {values.data(), biases.data(), outputs,
            inputs,        taps,          precision == Precision::kInt8 ? scales.data() : nullptr};
  }
};

void run(Bytes bytes) {
  const Precision precisions[] = {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8};
  const Precision precision = precisions[bytes.between(0, 2)];
  const std::vector<const IgemmKernel*> kernels = igemm_kernels(precision);
  const IgemmKernel& kernel = *kernels[bytes.between(0, kernels.size() - 1)];
  const bool bottleneck = bytes.between(0, 1), projects = bytes.between(0, 1);
  const bool streams = bytes.between(0, 1);
  const std::size_t clips = bytes.between(1, 3), frames = streams ? 1 : bytes.between(1, 3);
  const std::size_t height = bytes.between(1, 9), width = bytes.between(1, 9);
  const std::size_t in = bytes.between(1, 36), mid = bytes.between(1, 36);
  const std::size_t out = projects ? bytes.between(1, 36) : in;
  const Weights conv1(mid, in, bottleneck ? 1 : 9), conv2(bottleneck ? mid : out, mid, 9);
  const Weights conv3(out, mid, 1), shortcut(out, in, 1);
  ResidualBlockSpec spec{};
  spec.conv1 = conv1.view(precision);
  spec.conv2 = conv2.view(precision);
  if (bottleneck) {
    spec.conv3 = conv3.view(precision);
  }
  if (projects) {
    spec.shortcut = shortcut.view(precision);
    spec.stride = bytes.between(0, 3);
  }
  if (!streams) {
    spec.shift = {bytes.between(0, in), bytes.between(0, in)};
  }
  spec.winograd = bytes.between(0, 1);
  spec.shift_shortcut = bytes.between(0, 1);
  const ResidualBlock block(spec, kernel);

  const std::size_t rows = clips * frames;
  const NhwcLayout input = block.input_layout(height, width);
  const NhwcLayout output = block.output_layout(height, width);
  const NhwcLayout history = block.history_layout(height, width);
  const std::vector<char> x = bytes.fill<char>(rows * input.frame_pitch());
  std::vector<char> y(rows * output.frame_pitch());
  std::vector<float> pooled(rows * out);
  const ResidualBlockTensors tensors{x.data(), y.data(), pooled.data()};
  const std::vector<std::int32_t> actions = bytes.actions(rows * mid);
  const Policy policy("policy", actions.data(), clips, frames, mid);
  const ParallelFor loops[] = {serial, nested()};
  const ParallelFor& loop = loops[bytes.between(0, 1)];
  if (!streams) {
    const bool decides = bytes.between(0, 3) > 0;
    block.run(clips, frames, height, width, tensors, decides ? &policy : nullptr, loop,
              test_workspaces());
    return;
  }
  const std::vector<char> before = bytes.fill<char>(clips * input.frame_pitch());
  const std::vector<char> convolution = bytes.fill<char>(clips * history.frame_pitch());
  const std::vector<std::int32_t> missing = bytes.actions(clips * mid);
  std::vector<char> next(clips * history.frame_pitch());
  std::vector<std::int32_t> next_missing(clips * mid);
  block.run_streams(
      clips, height, width, tensors,
      {before.data(), convolution.data(), missing.data(), next.data(), next_missing.data()}, policy,
      loop, test_workspaces());
}

}  // namespace
}  // namespace adafuse

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    adafuse::run({data, size});
  } catch (const std::invalid_argument&) {  // what no caller may ask for
  }
  return 0;
}
