#include "microkernels/igemm_nhwc/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"

namespace adafuse {
namespace {

constexpr std::size_t kDepth = 512;   // K groups summed up by a tile
constexpr std::size_t kRows = 64;     // weight rows, used again and again
constexpr std::size_t kCalls = 2000;  // of a measurement
constexpr std::size_t kMeasurements = 20;

}  // namespace

double peak_gmacs(const IgemmKernel& kernel) {
  const std::size_t groups = 2 * kernel.mr_group <= kernel.mr ? 2 : 1;
  const std::size_t pixels = kernel.mr_group * groups;
  const std::size_t pitch = kRows * kGroupBytes;
  const std::size_t width = kernel.nr;
  AlignedArray<char> input, weights, output;
  AlignedArray<float> constants;
  std::memset(input.reserve(pixels * pitch), 0, pixels * pitch);
  std::memset(weights.reserve(kRows * kernel.b_row_bytes()), 0, kRows * kernel.b_row_bytes());
  output.reserve(pixels * width * kGroupBytes);
  std::fill_n(constants.reserve(width), width, 0.0f);
  std::vector<KEntry> steps(kDepth + kPrefetchEntries);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i] = {static_cast<std::int32_t>(i % kRows * kGroupBytes),
                static_cast<std::int32_t>(i % kRows * kernel.b_row_bytes())};
  }
  const char* const second = input.data() + kernel.mr_group * pitch * (groups - 1);
  const GemmTerm term{{input.data(), second},
                      static_cast<std::ptrdiff_t>(pitch),
                      weights.data(),
                      steps.data(),
                      kDepth};
  TileOutput target{};
  target.groups[0] = output.data();
  target.groups[1] = output.data() + kernel.mr_group * width * kGroupBytes * (groups - 1);
  target.pixel_stride = static_cast<std::ptrdiff_t>(width * kGroupBytes);
  double best = 1e9;
  for (std::size_t i = 0; i < kMeasurements; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t call = 0; call < kCalls; ++call) {
      kernel.run({kernel.mr_group, groups, width}, &term, 1, {constants.data(), constants.data()},
                 target);
    }
    kernel.release();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
  }
  const std::size_t macs = kCalls * kDepth * kr(kernel.precision) * pixels * width;
  return static_cast<double>(macs) / best * 1e-9;
}

}  // namespace adafuse
