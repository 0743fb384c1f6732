#include "base/processor.h"

#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace adafuse {
namespace {

// The value of ADAFUSE_MAX_ISA, "" where it is not set.
std::string_view limit() {
  const char* value = std::getenv("ADAFUSE_MAX_ISA");
  return value == nullptr ? "" : value;
}

#if defined(__x86_64__)
bool has_avx2() {
  return limit() != "baseline" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_avx512() {
  return limit() != "baseline" && limit() != "avx2" && __builtin_cpu_supports("avx512f");
}

// AVX-512 with vectors of half the length (VL) and values of 8 and 16 bits (BW).
bool has_short_avx512() {
  return has_avx512() && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

// Features of CPUID leaf 7 for which __builtin_cpu_supports() of older compilers has no names.
struct Leaf7 {
  bool avx_vnni = false, amx_bf16 = false, amx_int8 = false;

  Leaf7() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
      const bool amx = (edx >> 24 & 1) != 0;
      amx_bf16 = amx && (edx >> 22 & 1) != 0;
      amx_int8 = amx && (edx >> 25 & 1) != 0;
    }
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
      avx_vnni = (eax >> 4 & 1) != 0;
    }
  }
};

// AMX, whose kernels are compiled with all of AVX-512; the system must grant this process room for
// the tiles.
bool has_amx() {
#if defined(__linux__)
  constexpr long kAskForState = 0x1023, kTiles = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, ...)
  return limit() != "avx512" && has_short_avx512() && __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("avx512vnni") && syscall(SYS_arch_prctl, kAskForState, kTiles) == 0;
#else
  return false;
#endif
}
#endif

}  // namespace

const char* to_string(InstructionSet set) {
  static constexpr const char* kNames[] = {
#define INSTRUCTION_SET(name, shown) shown,
#include "instruction_sets.inc"
#undef INSTRUCTION_SET
  };
  return kNames[static_cast<int>(set)];
}

bool supports(InstructionSet set) {
  switch (set) {
#if defined(__x86_64__)
    case InstructionSet::amx_bf16:
      return Leaf7().amx_bf16 && has_amx();
    case InstructionSet::amx_int8:
      return Leaf7().amx_int8 && has_amx();
    case InstructionSet::avx512_bf16:
      return has_short_avx512() && __builtin_cpu_supports("avx512bf16");
    case InstructionSet::avx512_vnni:
      return has_short_avx512() && __builtin_cpu_supports("avx512vnni");
    case InstructionSet::avx512:
      return has_avx512();
    case InstructionSet::avx_vnni:
      return Leaf7().avx_vnni && has_avx2();
    case InstructionSet::avx2:
      return has_avx2();
#elif defined(__aarch64__) && defined(__linux__)
    case InstructionSet::neon_dotprod: {
      constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
      return limit() != "baseline" && (getauxval(AT_HWCAP) & kDotProduct) != 0;
    }
    case InstructionSet::neon:
      return limit() != "baseline";
#endif
    case InstructionSet::baseline:
      return true;
  }
  return false;
}

}  // namespace adafuse
