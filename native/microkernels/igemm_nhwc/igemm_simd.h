// A variant of the indirect-GEMM micro-kernel on NHWC in vectors: compiled once per row of
// variants.cmake, see microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here: an inline function compiled with these flags could
// be the copy that the linker keeps for the whole library, and fail on older processors.
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse::VARIANT {
namespace {

#include "microkernels/simd/shuffle.h"
#include "microkernels/simd/vectors.h"

constexpr int kVectors = VARIANT_NR / kLanes;
constexpr int kNr = VARIANT_NR;
constexpr int kNrStep = VARIANT_NR_STEP;
constexpr int kMrGroup = VARIANT_MR_GROUP;
constexpr int kMr = VARIANT_MR;

static_assert(kNrStep == kHalf);
static_assert(kKr == VARIANT_KR && VARIANT_K_BLOCK == 1);

// Addresses of a group's pixels from few registers: `three` and `five` are multiples of the stride
// that an addressing mode of x86 (times 1, 2, 4 or 8) cannot express.
struct Strides {
  std::ptrdiff_t one, three, five;

  explicit Strides(std::ptrdiff_t stride) : one(stride), three(3 * stride), five(5 * stride) {
    __asm__(""
            : "+r"(three),
              "+r"(five));  // or compilers would keep every pixel's address in a register
  }
  const char* at(const char* first, int pixel) const {
    switch (pixel) {
      case 3:
        return first + three;
      case 5:
        return first + five;
      case 6:
        return first + 2 * three;
      default:
        return first + pixel * one;
    }
  }
};
static_assert(kMrGroup <= 7);

// Computes a tile of `steps` NR steps: whole vectors and, if their number is odd, half of one.
template <int pixels, int groups, int steps>
void tile(const GemmTerm* terms, std::size_t count, const EpiloguePerChannel& channels,
          const TileOutput& output) {
  constexpr int vectors = steps * kNrStep / kLanes;
  constexpr bool half = steps * kNrStep % kLanes != 0;
  constexpr int tail = vectors * kLanes;                   // where the half begins
  constexpr int last = steps * kNrStep * kValueBytes - 1;  // byte of what is written
  Acc acc[groups][pixels][vectors + half];                 // the half has its own array
  AccHalf acc_half[groups][pixels];
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        acc[g][p][v] = begin_acc(channels.bias + v * kLanes);
      }
      if constexpr (half) {
        acc_half[g][p] = begin_acc_half(channels.bias + tail);
      }
      __builtin_prefetch(output.groups[g] + p * output.pixel_stride, 1);
      __builtin_prefetch(output.groups[g] + p * output.pixel_stride + last, 1);
      if (output.residual[0] != nullptr) {
        __builtin_prefetch(output.residual[g] + p * output.residual_stride);
        __builtin_prefetch(output.residual[g] + p * output.residual_stride + last);
      }
    }
  }
  for (const GemmTerm* term = terms; term != terms + count; ++term) {
    if constexpr (kQuantised) {
      if (term->rescale != nullptr) {
#pragma GCC unroll 16
        for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
          for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < vectors; ++v) {
              acc[g][p][v] = rescaled(acc[g][p][v], term->rescale + v * kLanes);
            }
            if constexpr (half) {
              acc_half[g][p] = rescaled_half(acc_half[g][p], term->rescale + tail);
            }
          }
        }
      }
    }
    const char* const first = term->groups[0];
    const char* const second = term->groups[groups - 1];
    const char* const weights = term->weights;
    const Strides strides(term->pixel_stride);
    const bool prefetches = term->prefetch != nullptr;
    const char* prefetch = prefetches ? term->prefetch : first;
    const std::ptrdiff_t mask = prefetches && term->prefetches_rows ? -1 : 0;
    const std::size_t advance = prefetches && !term->prefetches_rows ? kLine : 0;
    const KEntry* const end = term->entries + term->depth;
    for (const KEntry* entry = term->entries; entry != end; ++entry) {
      const char* ahead = weights + entry[kPrefetchEntries].b;
      __builtin_prefetch(ahead);
      if constexpr (steps * kNrStep * kGroupBytes > kLine) {
        __builtin_prefetch(ahead + kLine);
      }
      __builtin_prefetch(prefetch + (entry->b & mask), 0, 2);
      prefetch += advance;
      const char* const row = weights + entry->b;
      Weights weight[vectors + half];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        weight[v] = load_weights(row + v * kLanes * kGroupBytes);
      }
      WeightsHalf weight_half{};
      if constexpr (half) {
        weight_half = load_weights_half(row + tail * kGroupBytes);
      }
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) {
        const char* input = (g == 0 ? first : second) + entry->a;
#pragma GCC unroll 16
        for (int p = 0; p < pixels; ++p) {
          const Input x = load_input(strides.at(input, p));
#pragma GCC unroll 16
          for (int v = 0; v < vectors; ++v) {
            acc[g][p][v] = multiply_add(acc[g][p][v], x, weight[v]);
          }
          if constexpr (half) {
            acc_half[g][p] = multiply_add_half(acc_half[g][p], x, weight_half);
          }
        }
      }
    }
  }
  const bool adds = output.residual[0] != nullptr;
  const Vector lowest = Vector{} + output.lowest;
  const Half lowest_half = Half{} + output.lowest;
  Total total[vectors + half]{};
  TotalHalf total_half{};
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
      const char* residual = output.residual[g] + p * output.residual_stride;
      char* pixel = output.groups[g] + p * output.pixel_stride;
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        Vector value = end_acc(acc[g][p][v], channels, v * kLanes);
        if (adds) {
          value += output.residual_scale * load_values(residual + v * kLanes * kValueBytes);
        }
        const Total stored =
            store_values(pixel + v * kLanes * kValueBytes, at_least(lowest, value));
        total[v] += stored;
      }
      if constexpr (half) {
        Half value = end_acc_half(acc_half[g][p], channels, tail);
        if (adds) {
          value += output.residual_scale * load_values_half(residual + tail * kValueBytes);
        }
        total_half +=
            store_values_half(pixel + tail * kValueBytes, at_least_half(lowest_half, value));
      }
    }
  }
  if (output.totals != nullptr) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      float* const totals = output.totals + v * kLanes;
      store(totals, load(totals) + __builtin_convertvector(total[v], Vector));
    }
    if constexpr (half) {
      float* const totals = output.totals + tail;
      store_half(totals, load_half(totals) + __builtin_convertvector(total_half, Half));
    }
  }
}

using Tile = void (*)(const GemmTerm*, std::size_t, const EpiloguePerChannel&, const TileOutput&);

// Every size has its own code, so that remainders compute nothing in vain.
struct Tiles {
  static constexpr int kSteps = kNr / kNrStep;
  Tile of[kMrGroup][kMaxGroups][kSteps];

  template <int pixels, int groups, int steps>
  constexpr void fill() {
    if constexpr (pixels * groups <= kMr) {
      of[pixels - 1][groups - 1][steps - 1] = tile<pixels, groups, steps>;
    }
    if constexpr (steps > 1) {
      fill<pixels, groups, steps - 1>();
    } else if constexpr (groups > 1) {
      fill<pixels, groups - 1, kSteps>();
    } else if constexpr (pixels > 1) {
      fill<pixels - 1, kMaxGroups, kSteps>();
    }
  }

  constexpr Tiles() : of{} { fill<kMrGroup, kMaxGroups, kSteps>(); }
};
constexpr Tiles kTiles;

void run(const TileSize& size, const GemmTerm* terms, std::size_t count,
         const EpiloguePerChannel& channels, const TileOutput& output) {
  const std::size_t steps = (size.channels + kNrStep - 1) / kNrStep;
  kTiles.of[size.pixels - 1][size.groups - 1][steps - 1](terms, count, channels, output);
}

void release() {}

#include "microkernels/igemm_nhwc/pack_chosen.h"

}  // namespace

#include "microkernels/igemm_nhwc/variant.h"

}  // namespace adafuse::VARIANT
