#include "base/processor.h"

#if defined(__x86_64__)
#include <cstdlib>
#include <string_view>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

bool amx_allowed() {
#if defined(__linux__)
  constexpr long kAskForState = 0x1023, kMatrices = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, ...)
  return avx512_allowed() && limit() != "avx512" &&
         syscall(SYS_arch_prctl, kAskForState, kMatrices) == 0;
#else
  return false;
#endif
}

}  // namespace adafuse
#endif
