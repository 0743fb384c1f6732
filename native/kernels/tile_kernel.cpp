#include "kernels/tile_kernel.h"

namespace adafuse {

#define DECLARE(name)             \
  namespace name {                \
  extern const TileKernel kernel; \
  }
#if defined(__x86_64__)
DECLARE(tile_float32_avx512)
DECLARE(tile_float32_avx2)
DECLARE(tile_bfloat16_avx512)
DECLARE(tile_bfloat16_avx2)
#endif
DECLARE(tile_float32_baseline)
DECLARE(tile_bfloat16_baseline)
#undef DECLARE

namespace {

std::vector<const TileKernel*> usable(Precision precision) {
  std::vector<const TileKernel*> kernels;
  const auto add = [&](bool supported, const TileKernel& kernel) {
    if (supported && kernel.precision == precision) {
      kernels.push_back(&kernel);
    }
  };
#if defined(__x86_64__)
  const bool avx512 = __builtin_cpu_supports("avx512f");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  add(avx512, tile_float32_avx512::kernel);
  add(bf16, tile_bfloat16_avx512::kernel);
  add(avx2, tile_float32_avx2::kernel);
  add(avx2, tile_bfloat16_avx2::kernel);
#endif
  add(true, tile_float32_baseline::kernel);
  add(true, tile_bfloat16_baseline::kernel);
  return kernels;
}

}  // namespace

const std::vector<const TileKernel*>& tile_kernels(Precision precision) {
  static const std::vector<const TileKernel*> float32 = usable(Precision::kFloat32);
  static const std::vector<const TileKernel*> bfloat16 = usable(Precision::kBFloat16);
  return precision == Precision::kFloat32 ? float32 : bfloat16;
}

}  // namespace adafuse
