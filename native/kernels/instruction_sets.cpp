#include "kernels/instruction_sets.h"

#if defined(__x86_64__)
#include <cstdlib>
#include <string_view>

namespace adafuse {
namespace {

std::string_view limit() {
  const char* value = std::getenv("ADAFUSE_MAX_ISA");
  return value == nullptr ? "" : value;
}

}  // namespace

bool avx2_allowed() {
  return limit() != "baseline";
}

bool avx512_allowed() {
  return avx2_allowed() && limit() != "avx2";
}

}  // namespace adafuse
#endif
