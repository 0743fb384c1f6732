// Every rule of the operators' specifications, broken one at a time, before anything is packed.
#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "operators/nhwc_conv.h"
#include "operators/residual_block.h"
#include "operators/stem.h"
#include "tests/parallel.h"

using namespace adafuse;

namespace {

const IgemmKernel& kernel() {
  return *igemm_kernels(Precision::kFloat32).front();
}

// The message of the std::invalid_argument that `make` throws, or "".
std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

// Weights of up to 8 x 8 x 9 values; a specification with larger sizes must be refused before a
// weight is read.
ConvWeights sized(std::size_t outputs, std::size_t inputs, std::size_t taps) {
  static const std::vector<float> values(8 * 8 * 9), biases(8);
  return {values.data(), biases.data(), outputs, inputs, taps};
}

ResidualBlockSpec bottleneck() {
  ResidualBlockSpec spec{};
  spec.conv1 = sized(4, 8, 1);
  spec.conv2 = sized(4, 4, 9);
  spec.conv3 = sized(8, 4, 1);
  return spec;
}

ResidualBlockSpec basic() {
  ResidualBlockSpec spec{};
  spec.conv1 = sized(4, 8, 9);
  spec.conv2 = sized(8, 4, 9);
  return spec;
}

void residual_blocks() {
  const auto make = [](const ResidualBlockSpec& spec) {
    return refusal([&] { ResidualBlock(spec, kernel()); });
  };
  CHECK(make(bottleneck()).empty());
  CHECK(make(basic()).empty());
  using Change = std::function<void(ResidualBlockSpec&)>;
  const std::vector<std::pair<Change, std::string>> changes{
      {[](auto& s) { s.conv1.taps = 9; }, "a bottleneck has kernels"},
      {[](auto& s) { s.conv1.inputs = 0; }, "must have inputs and outputs"},
      {[](auto& s) { s.conv1.outputs = s.conv2.inputs = 0; }, "must have inputs and outputs"},
      {[](auto& s) { s.conv3->outputs = 0; }, "must have inputs and outputs"},
      {[](auto& s) { s.conv2.inputs = 5; }, "conv2 must read what conv1 gives"},
      {[](auto& s) { s.stride = 0; }, "the stride must be positive"},
      {[](auto& s) { s.shift.from_next = 9; }, "more channels than the input has"},
      {[](auto& s) { s.shift.from_previous = 9; }, "more channels than the input has"},
      {[](auto& s) { s.shift = {5, 4}; }, "more channels than the input has"},
      {[](auto& s) { s.shift = {1, static_cast<std::size_t>(-1)}; }, "more channels than"},
      {[](auto& s) { s.conv3->taps = 9; }, "conv3 must be 1x1"},
      {[](auto& s) { s.conv3->inputs = 5; }, "conv3 must be 1x1 and read"},
      {[](auto& s) { s.conv2.outputs = s.conv3->inputs = 0; }, "must have inputs and outputs"},
      {[](auto& s) { s.stride = 2; }, "an identity shortcut needs"},
      {[](auto& s) { s.conv3->outputs = 7; }, "an identity shortcut needs"},
      {[](auto& s) { s.shortcut = sized(8, 8, 9); }, "the shortcut must be 1x1"},
      {[](auto& s) { s.shortcut = sized(8, 7, 1); }, "the shortcut must be 1x1"},
      {[](auto& s) { s.shortcut = sized(7, 8, 1); }, "the shortcut must be 1x1"}};
  for (const auto& [change, words] : changes) {
    ResidualBlockSpec spec = bottleneck();
    change(spec);
    CHECK(make(spec).find(words) != std::string::npos);
  }
  ResidualBlockSpec spec = basic();
  spec.conv2.taps = 1;
  CHECK(make(spec).find("a basic block two of 3x3") != std::string::npos);
  spec = bottleneck();
  spec.shift.from_next = 1;
  const ResidualBlock shifted(spec, kernel());
  const std::int32_t keep[4] = {};
  const Policy policy("policy", keep, 1, 1, 4);
  Workspaces workspaces;
  CHECK(refusal([&] {
          shifted.run_streams(1, 1, 1, {}, {}, policy, serial, workspaces);
        }).find("without shift") != std::string::npos);
}

void nhwc_convolutions() {
  const NhwcConvSpec good{sized(4, 8, 9), {{3, false}, {5, true}}, false, 1, 1, 0, false, {}};
  const auto make = [](const NhwcConvSpec& spec) {
    return refusal([&] { NhwcConv(spec, kernel()); });
  };
  CHECK(make(good).empty());
  using Change = std::function<void(NhwcConvSpec&)>;
  const std::vector<std::pair<Change, std::string>> changes{
      {[](auto& s) { s.conv.taps = 4; }, "the kernel must be 1x1 or 3x3"},
      {[](auto& s) { s.conv.weight = nullptr; }, "the weights must be"},
      {[](auto& s) { s.conv.inputs = 0; }, "there must be inputs and outputs"},
      {[](auto& s) { s.conv.outputs = 0; }, "there must be inputs and outputs"},
      {[](auto& s) { s.stride = 0; }, "the stride must be positive"},
      {[](auto& s) { s.input_border = 0; }, "input_border must be positive"},
      {[](auto& s) { s.sources.clear(); }, "1 to 6 tensors"},
      {[](auto& s) { s.sources.resize(7, {1, false}); }, "1 to 6 tensors"},
      {[](auto& s) { s.sources[0].channels = 0; }, "channels must name as many"},
      {[](auto& s) { s.sources[0].channels = 4; }, "channels must name as many"},
      {[](auto& s) { s.sources[0].channels = static_cast<std::size_t>(-5); },
       "channels must name"}};
  for (const auto& [change, words] : changes) {
    NhwcConvSpec spec = good;
    change(spec);
    CHECK(make(spec).find(words) != std::string::npos);
  }
}

void stems() {
  const auto make = [](const ConvWeights& conv, std::size_t stride, const StemPool& pool) {
    return refusal([&] { Stem(conv, stride, pool, 0, kernel()); });
  };
  CHECK(make(sized(4, 3, 9), 2, {1, false}).empty());
  ConvWeights nothing = sized(4, 3, 9);
  nothing.weight = nullptr;
  const std::vector<std::pair<std::string, std::string>> messages{
      {make(sized(4, 3, 4), 2, {1, false}), "square and of an odd size"},
      {make(sized(4, 3, 65 * 65), 2, {1, false}), "square and of an odd size up to 63"},
      {make(nothing, 2, {1, false}), "the weights must be"},
      {make(sized(0, 3, 9), 2, {1, false}), "there must be inputs and outputs"},
      {make(sized(4, 0, 9), 2, {1, false}), "there must be inputs and outputs"},
      {make(sized(4, 3, 9), 0, {1, false}), "stride must be positive"},
      {make(sized(4, 3, 9), 2, {2, false}), "pool_pad 0 or 1"}};
  for (const auto& [message, words] : messages) {
    CHECK(message.find(words) != std::string::npos);
  }
}

void policies() {
  const std::int32_t actions[] = {0, 1, 2, 3};
  const std::string message = refusal([&] { Policy("input_policy2", actions, 1, 2, 2); });
  CHECK(message.find("input_policy2 holds 3 for clip 0, frame 1, channel 1") != std::string::npos);
}

}  // namespace

TEST_CASE("residual blocks that cannot be are refused") {
  residual_blocks();
}

TEST_CASE("NHWC convolutions that cannot be are refused") {
  nhwc_convolutions();
}

TEST_CASE("stems that cannot be are refused") {
  stems();
}

TEST_CASE("policies of other actions are refused") {
  policies();
}
