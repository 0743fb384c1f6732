// A residual block to test: its sizes, values and policy, one run of the fused operator and the
// result by definition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel_for.h"
#include "operators/residual_block.h"
#include "tests/parallel.h"

namespace adafuse {

// A convolution with a square kernel, padded by half its size.
struct ResidualConv {
  std::size_t outputs, inputs, kernel, stride;
  std::vector<float> weight;  // (outputs, inputs, kernel, kernel); whole numbers in kInt8
  std::vector<float> bias;    // (outputs)
  std::vector<float> scale;   // (outputs): the value of a stored weight of 1; empty: 1

  ConvWeights weights() const;

  // The weights as a file holds them, to be read in place: in panels of kStoredPanel outputs or in
  // ONNX's order.  `memory` owns them.
  ConvWeights lasting(AlignedArray<float>& memory, bool by_panels) const;

  // Values of the weights: weight * scale.
  std::vector<float> values() const;
};

struct ResidualResult {
  std::vector<float> output;  // (rows, out_channels, height, width)
  std::vector<float> pooled;  // (rows, out_channels)
};

struct ResidualCase {
  Precision precision = Precision::kFloat32;
  bool bottleneck = true;
  std::size_t clips = 1, frames = 1, height = 1, width = 1;
  std::size_t in_channels = 1, mid_channels = 1, out_channels = 1, stride = 1;
  std::size_t conv2_channels = 0;  // of a bottleneck; 0: as many as mid_channels
  bool projects = false;           // the shortcut is a convolution
  TemporalShift shift;
  bool winograd = false;
  bool shift_shortcut = true;
  bool lasting = false;              // weights are read in place
  bool as_streams = false;           // clips are run frame by frame
  std::vector<std::int32_t> policy;  // (rows, mid_channels) actions; empty: none
  std::vector<float> input;          // (rows, in_channels, height, width)
  std::vector<ResidualConv> convs;   // two of a basic block, three of a bottleneck
  ResidualConv shortcut;
  ResidualBlockScales scales;

  bool integers() const { return precision == Precision::kInt8; }
  std::size_t rows() const { return clips * frames; }

  // Draws input, weights and biases for the sizes: numbers that the precision can hold, so that
  // only sums and results are rounded.
  void fill(std::mt19937& random);
  // Draws actions with random shares of keep, reuse and skip.
  void draw_policy(std::mt19937& random);

  // Runs the fused operator in memory that is not a number wherever nothing is written, and checks
  // that the output's border is zero.  `in_place`: the output overwrites the input.
  // `recording`: of clips, where the block says what took how long, or null.
  ResidualResult run(const IgemmKernel& kernel, const ParallelFor& parallel_for = serial,
                     bool in_place = false, const NodeRecording* recording = nullptr) const;

  // Output (rows, out_channels, height, width) by definition, in double precision.
  std::vector<double> expected() const;
  // The largest error of an output.  Values are of the order of one; bfloat16 has 8 bits and rounds
  // after every convolution; integers differ by two where float32 and double round a tie
  // differently in conv1 or conv2.
  double tolerance() const;

 private:
  ResidualConv draw_conv(std::mt19937& random, std::size_t outputs, std::size_t inputs,
                         std::size_t kernel, std::size_t conv_stride) const;
  ResidualBlock block(const IgemmKernel& kernel, AlignedArray<float> (&memory)[4]) const;
  void run_streams(const ResidualBlock& fused, const ResidualBlockTensors& all,
                   const ParallelFor& parallel_for) const;
  void check_border(const char* frame, const NhwcLayout& layout) const;
  std::vector<double> convolve(const ResidualConv& conv, const std::vector<float>& x,
                               std::size_t x_height, std::size_t x_width) const;
  std::vector<float> relu(const std::vector<double>& values, float scale) const;
  std::vector<float> shifted_input() const;
};

}  // namespace adafuse
