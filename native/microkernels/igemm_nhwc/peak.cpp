// The most a core multiplies and adds with our inner loops: everything in the first-level cache.
//
// Prints a line of JSON per precision: the instruction set and 10^9 multiply-accumulates a second.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "microkernels/igemm_nhwc/igemm.h"

using namespace adafuse;

namespace {

constexpr std::size_t kDepth = 512;   // units summed up by a tile
constexpr std::size_t kRows = 64;     // weight rows, used again and again
constexpr std::size_t kCalls = 2000;  // of a measurement
constexpr std::size_t kMeasurements = 20;

double gmacs(const TileKernel& kernel) {
  const std::size_t groups = 2 * kernel.max_group <= kernel.max_pixels ? 2 : 1;
  const std::size_t pixels = kernel.max_group * groups;
  const std::size_t pitch = kRows * kUnit;
  const std::size_t width = kernel.panel_width();
  AlignedArray<char> input, weights, output;
  AlignedArray<float> constants;
  std::memset(input.reserve(pixels * pitch), 0, pixels * pitch);
  std::memset(weights.reserve(kRows * kernel.weight_row()), 0, kRows * kernel.weight_row());
  output.reserve(pixels * width * kUnit);
  std::fill_n(constants.reserve(width), width, 0.0f);
  std::vector<Step> steps(kDepth + kStepsAhead);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i] = {static_cast<std::int32_t>(i % kRows * kUnit),
                static_cast<std::int32_t>(i % kRows * kernel.weight_row())};
  }
  const char* const second = input.data() + kernel.max_group * pitch * (groups - 1);
  const Segment segment{{input.data(), second},
                        static_cast<std::ptrdiff_t>(pitch),
                        weights.data(),
                        steps.data(),
                        kDepth};
  TileOutput target{};
  target.groups[0] = output.data();
  target.groups[1] = output.data() + kernel.max_group * width * kUnit * (groups - 1);
  target.pixel_stride = static_cast<std::ptrdiff_t>(width * kUnit);
  double best = 1e9;
  for (std::size_t i = 0; i < kMeasurements; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t call = 0; call < kCalls; ++call) {
      kernel.run({kernel.max_group, groups, width}, &segment, 1,
                 {constants.data(), constants.data()}, target);
    }
    kernel.end_runs();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
  }
  const std::size_t macs = kCalls * kDepth * per_unit(kernel.precision) * pixels * width;
  return static_cast<double>(macs) / best * 1e-9;
}

}  // namespace

int main() {
  const std::pair<const char*, Precision> precisions[] = {
      {"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}, {"int8", Precision::kInt8}};
  for (const auto& [name, precision] : precisions) {
    const TileKernel& kernel = *tile_kernels(precision).front();
    std::printf("{\"precision\": \"%s\", \"instructions\": \"%s\", \"gmacs\": %.1f}\n", name,
                to_string(kernel.instruction_set), gmacs(kernel));
  }
}
