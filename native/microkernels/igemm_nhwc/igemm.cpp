#include "microkernels/igemm_nhwc/igemm.h"

#include <array>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include "base/processor.h"

namespace adafuse {

#define DECLARE(name)             \
  namespace name {                \
  extern const TileKernel kernel; \
  }
#if defined(__x86_64__)
DECLARE(tile_float32_avx512)
DECLARE(tile_float32_avx2)
DECLARE(tile_bfloat16_amx)
DECLARE(tile_bfloat16_avx512)
DECLARE(tile_bfloat16_avx2)
DECLARE(tile_int8_amx)
DECLARE(tile_int8_avx512)
DECLARE(tile_int8_avxvnni)
DECLARE(tile_int8_avx2)
#elif defined(__aarch64__) && defined(__linux__)
DECLARE(tile_int8_dotprod)
#endif
DECLARE(tile_float32_baseline)
DECLARE(tile_bfloat16_baseline)
DECLARE(tile_int8_baseline)
#undef DECLARE

namespace {

#if defined(__x86_64__)
// Sets that compilers of our time do not know the names of, as bits of leaf 7.
struct MoreSets {
  bool avxvnni = false, amx_bf16 = false, amx_int8 = false;

  MoreSets() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
      const bool amx = (edx >> 24 & 1) != 0;
      amx_bf16 = amx && (edx >> 22 & 1) != 0;
      amx_int8 = amx && (edx >> 25 & 1) != 0;
    }
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
      avxvnni = (eax >> 4 & 1) != 0;
    }
  }
};
#endif

std::vector<const TileKernel*> usable(Precision precision) {
  std::vector<const TileKernel*> kernels;
  const auto add = [&](bool supported, const TileKernel& kernel) {
    if (supported && kernel.precision == precision) {
      kernels.push_back(&kernel);
    }
  };
#if defined(__x86_64__)
  const bool avx512 = avx512_allowed() && __builtin_cpu_supports("avx512f");
  const bool short_vectors =
      avx512 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  const bool bf16 = short_vectors && __builtin_cpu_supports("avx512bf16");
  const bool vnni = short_vectors && __builtin_cpu_supports("avx512vnni");
  const bool avx2 =
      avx2_allowed() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const MoreSets more;
  const bool amx = bf16 && vnni && (more.amx_bf16 || more.amx_int8) && amx_allowed();
  add(avx512, tile_float32_avx512::kernel);
  add(amx && more.amx_bf16, tile_bfloat16_amx::kernel);
  add(bf16, tile_bfloat16_avx512::kernel);
  add(amx && more.amx_int8, tile_int8_amx::kernel);
  add(vnni, tile_int8_avx512::kernel);
  add(avx2 && more.avxvnni, tile_int8_avxvnni::kernel);
  add(avx2, tile_float32_avx2::kernel);
  add(avx2, tile_bfloat16_avx2::kernel);
  add(avx2, tile_int8_avx2::kernel);
#elif defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP of Linux
  add((getauxval(AT_HWCAP) & kDotProduct) != 0, tile_int8_dotprod::kernel);
#endif
  add(true, tile_float32_baseline::kernel);
  add(true, tile_bfloat16_baseline::kernel);
  add(true, tile_int8_baseline::kernel);
  return kernels;
}

}  // namespace

const std::vector<const TileKernel*>& tile_kernels(Precision precision) {
  static const std::array kernels{usable(Precision::kFloat32), usable(Precision::kBFloat16),
                                  usable(Precision::kInt8)};
  return kernels[static_cast<std::size_t>(precision)];
}

}  // namespace adafuse
