#include "microkernels/gemv/gemv.h"

#include "base/processor.h"

namespace adafuse {

#define DECLARE(name)            \
  namespace name {               \
  extern const RowKernel kernel; \
  }
#if defined(__x86_64__)
DECLARE(row_products_avx512)
DECLARE(row_products_avx2)
#endif
DECLARE(row_products_baseline)
#undef DECLARE

const RowKernel& row_kernel() {
#if defined(__x86_64__)
  if (avx512_allowed() && __builtin_cpu_supports("avx512f")) {
    return row_products_avx512::kernel;
  }
  if (avx2_allowed() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return row_products_avx2::kernel;
  }
#endif
  return row_products_baseline::kernel;
}

}  // namespace adafuse
