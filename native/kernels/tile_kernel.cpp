#include "kernels/tile_kernel.h"

namespace adafuse {

#if defined(__x86_64__)
namespace tile_avx512 {
extern const TileKernel kernel;
}
namespace tile_avx2 {
extern const TileKernel kernel;
}
#endif
namespace tile_baseline {
extern const TileKernel kernel;
}

const std::vector<const TileKernel*>& tile_kernels() {
  static const std::vector<const TileKernel*> usable = [] {
    std::vector<const TileKernel*> kernels;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
      kernels.push_back(&tile_avx512::kernel);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      kernels.push_back(&tile_avx2::kernel);
    }
#endif
    kernels.push_back(&tile_baseline::kernel);
    return kernels;
  }();
  return usable;
}

}  // namespace adafuse
