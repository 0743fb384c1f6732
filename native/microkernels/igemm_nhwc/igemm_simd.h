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

#include "microkernels/simd/vectors.h"

constexpr int kVectors = VARIANT_NR / kLanes;
constexpr int kPanel = VARIANT_NR;
constexpr int kGranule = VARIANT_NR_STEP;
constexpr int kMaxGroup = VARIANT_MR_GROUP;
constexpr int kMaxPixels = VARIANT_MR;

static_assert(kGranule == kHalf);
static_assert(kPerUnit == VARIANT_KR && VARIANT_K_BLOCK == 1);

// Where the pixels of a group lie, in few registers: what an address cannot express is kept.
struct Strides {
  std::ptrdiff_t one, three, five;

  explicit Strides(std::ptrdiff_t stride) : one(stride), three(3 * stride), five(5 * stride) {
    __asm__("" : "+r"(three), "+r"(five));  // or the compiler would add up every pixel's place
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
static_assert(kMaxGroup <= 7);

// `units` granules of channels: whole vectors and, if it does not come out even, half a one.
template <int pixels, int groups, int units>
void tile(const Segment* segments, std::size_t count, const PerChannel& channels,
          const TileOutput& output) {
  constexpr int vectors = units * kGranule / kLanes;
  constexpr bool half = units * kGranule % kLanes != 0;
  constexpr int tail = vectors * kLanes;                    // where the half begins
  constexpr int last = units * kGranule * kValueBytes - 1;  // byte of what is written
  Sum sum[groups][pixels][vectors + half];                  // the half has its own array
  SumHalf sum_half[groups][pixels];
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        sum[g][p][v] = begin_sum(channels.bias + v * kLanes);
      }
      if constexpr (half) {
        sum_half[g][p] = begin_sum_half(channels.bias + tail);
      }
      __builtin_prefetch(output.groups[g] + p * output.pixel_stride, 1);
      __builtin_prefetch(output.groups[g] + p * output.pixel_stride + last, 1);
      if (output.residual[0] != nullptr) {
        __builtin_prefetch(output.residual[g] + p * output.residual_stride);
        __builtin_prefetch(output.residual[g] + p * output.residual_stride + last);
      }
    }
  }
  for (const Segment* segment = segments; segment != segments + count; ++segment) {
    if constexpr (kQuantised) {
      if (segment->rescale != nullptr) {
#pragma GCC unroll 16
        for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
          for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 16
            for (int v = 0; v < vectors; ++v) {
              sum[g][p][v] = rescaled(sum[g][p][v], segment->rescale + v * kLanes);
            }
            if constexpr (half) {
              sum_half[g][p] = rescaled_half(sum_half[g][p], segment->rescale + tail);
            }
          }
        }
      }
    }
    const char* const first = segment->groups[0];
    const char* const second = segment->groups[groups - 1];
    const char* const weights = segment->weights;
    const Strides strides(segment->pixel_stride);
    const bool prefetches = segment->prefetch != nullptr;
    const char* prefetch = prefetches ? segment->prefetch : first;
    const std::ptrdiff_t mask = prefetches && segment->prefetches_rows ? -1 : 0;
    const std::size_t advance = prefetches && !segment->prefetches_rows ? kLine : 0;
    const Step* const end = segment->steps + segment->depth;
    for (const Step* step = segment->steps; step != end; ++step) {
      const char* ahead = weights + step[kStepsAhead].weight;
      __builtin_prefetch(ahead);
      if constexpr (units * kGranule * kUnit > kLine) {
        __builtin_prefetch(ahead + kLine);
      }
      __builtin_prefetch(prefetch + (step->weight & mask), 0, 2);
      prefetch += advance;
      const char* const row = weights + step->weight;
      Weights weight[vectors + half];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        weight[v] = load_weights(row + v * kLanes * kUnit);
      }
      WeightsHalf weight_half{};
      if constexpr (half) {
        weight_half = load_weights_half(row + tail * kUnit);
      }
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) {
        const char* input = (g == 0 ? first : second) + step->input;
#pragma GCC unroll 16
        for (int p = 0; p < pixels; ++p) {
          const Input x = load_input(strides.at(input, p));
#pragma GCC unroll 16
          for (int v = 0; v < vectors; ++v) {
            sum[g][p][v] = multiply_add(sum[g][p][v], x, weight[v]);
          }
          if constexpr (half) {
            sum_half[g][p] = multiply_add_half(sum_half[g][p], x, weight_half);
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
        Vector value = end_sum(sum[g][p][v], channels, v * kLanes);
        if (adds) {
          value += output.residual_scale * load_values(residual + v * kLanes * kValueBytes);
        }
        const Total stored =
            store_values(pixel + v * kLanes * kValueBytes, at_least(lowest, value));
        total[v] += stored;
      }
      if constexpr (half) {
        Half value = end_sum_half(sum_half[g][p], channels, tail);
        if (adds) {
          value += output.residual_scale * load_values_half(residual + tail * kValueBytes);
        }
        total_half +=
            store_values_half(pixel + tail * kValueBytes, at_least_half(lowest_half, value));
      }
    }
  }
  if (output.sums != nullptr) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      float* const sums = output.sums + v * kLanes;
      store(sums, load(sums) + __builtin_convertvector(total[v], Vector));
    }
    if constexpr (half) {
      float* const sums = output.sums + tail;
      store_half(sums, load_half(sums) + __builtin_convertvector(total_half, Half));
    }
  }
}

using Tile = void (*)(const Segment*, std::size_t, const PerChannel&, const TileOutput&);

// Every size has its own code, so that no remainder computes what nobody wants.
struct Tiles {
  static constexpr int kUnits = kPanel / kGranule;
  Tile of[kMaxGroup][kMaxGroups][kUnits];

  template <int pixels, int groups, int units>
  constexpr void fill() {
    if constexpr (pixels * groups <= kMaxPixels) {
      of[pixels - 1][groups - 1][units - 1] = tile<pixels, groups, units>;
    }
    if constexpr (units > 1) {
      fill<pixels, groups, units - 1>();
    } else if constexpr (groups > 1) {
      fill<pixels, groups - 1, kUnits>();
    } else if constexpr (pixels > 1) {
      fill<pixels - 1, kMaxGroups, kUnits>();
    }
  }

  constexpr Tiles() : of{} { fill<kMaxGroup, kMaxGroups, kUnits>(); }
};
constexpr Tiles kTiles;

void run(const TileSize& size, const Segment* segments, std::size_t count,
         const PerChannel& channels, const TileOutput& output) {
  const std::size_t units = (size.channels + kGranule - 1) / kGranule;
  kTiles.of[size.pixels - 1][size.groups - 1][units - 1](segments, count, channels, output);
}

void end_runs() {}

#include "microkernels/igemm_nhwc/pack_chosen.h"

}  // namespace

extern const TileKernel kernel;
const TileKernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET,
                        kPrecision,
                        kLanes,
                        kVectors,
                        kGranule,
                        kMaxGroup,
                        kMaxPixels,
                        VARIANT_K_BLOCK,
                        run,
                        end_runs,
                        gather,
                        interleave};

}  // namespace adafuse::VARIANT
