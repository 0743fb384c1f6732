// The micro-kernel for one instruction set.  The including file is compiled with that instruction
// set's flags and defines, in the namespace MICROKERNEL_NAMESPACE, the `kernel` that it describes
// by the macros MICROKERNEL_NAME, _LANES, _ROWS and _VECTORS.
//
// Nothing of the C++ library may be used here: an inline function compiled with these flags could
// be the copy that the linker keeps for the whole library, and fail on older processors.
#include "microkernels/gemm_nchw/gemm.h"

namespace adafuse::MICROKERNEL_NAMESPACE {
namespace {

constexpr int kLanes = MICROKERNEL_LANES;
constexpr int kRows = MICROKERNEL_ROWS;
constexpr int kVectors = MICROKERNEL_VECTORS;
static_assert(kRows <= static_cast<int>(kMaxMicroRows));

using Vector [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

template <int rows, int vectors>
void tile(std::size_t depth, const float* const* weights, const std::uint32_t* offsets,
          const float* pixels, float* sums, std::size_t sums_stride) {
  Vector sum[rows][vectors];
  const float* weight[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    weight[r] = weights[r];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = *reinterpret_cast<const Vector*>(sums + r * sums_stride + v * kLanes);
    }
  }
  for (std::size_t k = 0; k < depth; ++k) {
    Vector pixel[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      pixel[v] = *reinterpret_cast<const Vector*>(pixels + v * kLanes);
    }
    pixels += vectors * kLanes;
    const std::size_t offset = offsets[k];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const float w = weight[r][offset];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sum[r][v] += w * pixel[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      *reinterpret_cast<Vector*>(sums + r * sums_stride + v * kLanes) = sum[r][v];
    }
  }
}

using Tile = void (*)(std::size_t, const float* const*, const std::uint32_t*, const float*, float*,
                      std::size_t);

// Every height and width has its own code, so that no remainder computes what nobody wants.
struct Tiles {
  Tile of[kRows][kVectors];

  template <int rows, int vectors>
  constexpr void fill() {
    of[rows - 1][vectors - 1] = tile<rows, vectors>;
    if constexpr (vectors > 1) {
      fill<rows, vectors - 1>();
    } else if constexpr (rows > 1) {
      fill<rows - 1, kVectors>();
    }
  }

  constexpr Tiles() : of{} { fill<kRows, kVectors>(); }
};
constexpr Tiles kTiles;

void run(std::size_t rows, std::size_t width, std::size_t depth, const float* const* weights,
         const std::uint32_t* offsets, const float* pixels, float* sums, std::size_t sums_stride) {
  kTiles.of[rows - 1][width / kLanes - 1](depth, weights, offsets, pixels, sums, sums_stride);
}

}  // namespace

extern const MicroKernel kernel;
const MicroKernel kernel{MICROKERNEL_NAME, kRows, kLanes, kVectors, run};

}  // namespace adafuse::MICROKERNEL_NAMESPACE
