// The most a core multiplies and adds with our inner loops.
//
// Prints a line of JSON per precision: the instruction set and 10^9 multiply-accumulates a second.
#include <cstdio>
#include <utility>

#include "microkernels/igemm_nhwc/peak.h"

using namespace adafuse;

int main() {
  const std::pair<const char*, Precision> precisions[] = {
      {"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}, {"int8", Precision::kInt8}};
  for (const auto& [name, precision] : precisions) {
    const IgemmKernel& kernel = *igemm_kernels(precision).front();
    std::printf("{\"precision\": \"%s\", \"instructions\": \"%s\", \"gmacs\": %.1f}\n", name,
                to_string(kernel.instruction_set), peak_gmacs(kernel));
  }
}
