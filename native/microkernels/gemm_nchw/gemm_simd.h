// A variant of the GEMM micro-kernel on NCHW: compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#include "microkernels/gemm_nchw/gemm.h"

namespace adafuse::VARIANT {
namespace {

constexpr int kLanes = VARIANT_LANES;
constexpr int kMr = VARIANT_MR;
constexpr int kVectors = VARIANT_NR / VARIANT_LANES;
static_assert(kMr <= static_cast<int>(kMaxGemmMr));

using Vector [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

template <int rows, int vectors>
void tile(std::size_t depth, const float* const* weights, const std::uint32_t* offsets,
          const float* pixels, float* accumulators, std::size_t stride) {
  Vector acc[rows][vectors];
  const float* weight[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    weight[r] = weights[r];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      acc[r][v] = *reinterpret_cast<const Vector*>(accumulators + r * stride + v * kLanes);
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
        acc[r][v] += w * pixel[v];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      *reinterpret_cast<Vector*>(accumulators + r * stride + v * kLanes) = acc[r][v];
    }
  }
}

using Tile = void (*)(std::size_t, const float* const*, const std::uint32_t*, const float*, float*,
                      std::size_t);

// Every height and width has its own code, so that remainders compute nothing in vain.
struct Tiles {
  Tile of[kMr][kVectors];

  template <int rows, int vectors>
  constexpr void fill() {
    of[rows - 1][vectors - 1] = tile<rows, vectors>;
    if constexpr (vectors > 1) {
      fill<rows, vectors - 1>();
    } else if constexpr (rows > 1) {
      fill<rows - 1, kVectors>();
    }
  }

  constexpr Tiles() : of{} { fill<kMr, kVectors>(); }
};
constexpr Tiles kTiles;

void run(std::size_t rows, std::size_t width, std::size_t depth, const float* const* weights,
         const std::uint32_t* offsets, const float* pixels, float* accumulators,
         std::size_t stride) {
  kTiles.of[rows - 1][width / kLanes - 1](depth, weights, offsets, pixels, accumulators, stride);
}

}  // namespace

extern const GemmKernel kernel;
const GemmKernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET, kMr, VARIANT_NR, kLanes, run};

}  // namespace adafuse::VARIANT
