// A variant of the indirect-GEMM micro-kernel on NHWC on AMX, which multiplies matrices: up to 16
// pixels by 16 K groups, by 16 output channels.  Compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#include <immintrin.h>

#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse::VARIANT {
namespace {

#include "microkernels/simd/vectors.h"

constexpr int kVectors = VARIANT_NR / kLanes;
constexpr int kPanel = VARIANT_NR;
constexpr int kMaxGroup = VARIANT_MR_GROUP;
constexpr int kMaxPixels = VARIANT_MR;

constexpr int kRows = 16;  // of a matrix; their length is a cache line

static_assert(kPerUnit == VARIANT_KR && VARIANT_K_BLOCK == kRows && VARIANT_NR_STEP == kLanes);
static_assert(kLanes == kRows && kVectors == 2 && kMaxGroup == kRows && kMaxPixels == 2 * kRows);

// How many rows the matrices have: 0 to 3 are sums of (group, vector), 4 and 5 inputs of a group's
// pixels, 6 and 7 weights of a vector.
struct alignas(64) Config {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  constexpr Config(int pixels) {
    for (int i = 0; i < 8; ++i) {
      row_bytes[i] = kLine;
      rows[i] = static_cast<std::uint8_t>(i < 6 ? pixels : kRows);
    }
  }
};
static_assert(sizeof(Config) == kLine);
thread_local int configured = 0;  // pixels that this thread's matrices have rows for
constexpr Config kConfigs[kRows] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

// Matrices on their way; compilers do not know that the instructions read and write memory.
struct Scratch {
  alignas(kLine) Unit sums[kMaxGroups][kRows][kVectors][kLanes];
  alignas(kLine) Unit inputs[kMaxGroups][kRows][kLanes];
  alignas(kLine) Unit weights[kRows][kVectors][kLanes];
};
inline void barrier() {
  __asm__ volatile("" ::: "memory");
}

constexpr std::ptrdiff_t kSumPitch = kVectors * kLine;   // of Scratch::sums
constexpr std::ptrdiff_t kWeightPitch = kPanel * kUnit;  // of a panel

// The instructions name matrices in their text.
#define EACH_SUM(instruction)                           \
  instruction(0, scratch.sums[0][0][0], kSumPitch);     \
  if constexpr (vectors > 1) {                          \
    instruction(1, scratch.sums[0][0][1], kSumPitch);   \
  }                                                     \
  if constexpr (groups > 1) {                           \
    instruction(2, scratch.sums[1][0][0], kSumPitch);   \
    if constexpr (vectors > 1) {                        \
      instruction(3, scratch.sums[1][0][1], kSumPitch); \
    }                                                   \
  }
template <int groups, int vectors>
inline void load_sums(const Scratch& scratch) {
  barrier();
  EACH_SUM(_tile_loadd)
}
template <int groups, int vectors>
inline void store_sums(Scratch& scratch) {
  EACH_SUM(_tile_stored)
  barrier();
}
#undef EACH_SUM

#define MULTIPLY(sum, input, weight)    \
  if constexpr (kQuantised) {           \
    _tile_dpbusd(sum, input, weight);   \
  } else {                              \
    _tile_dpbf16ps(sum, input, weight); \
  }

// Adds the products of 16 units: `inputs` are pixels of each group, `input_pitch` bytes apart.
template <int groups, int vectors>
inline void multiply(const char* const* inputs, std::ptrdiff_t input_pitch, const char* weights) {
  _tile_loadd(6, weights, kWeightPitch);
  _tile_loadd(4, inputs[0], input_pitch);
  MULTIPLY(0, 4, 6)
  if constexpr (groups > 1) {
    _tile_loadd(5, inputs[1], input_pitch);
    MULTIPLY(2, 5, 6)
  }
  if constexpr (vectors > 1) {
    _tile_loadd(7, weights + kLine, kWeightPitch);
    MULTIPLY(1, 4, 7)
    if constexpr (groups > 1) {
      MULTIPLY(3, 5, 7)
    }
  }
}
#undef MULTIPLY

// How many of 16 steps from `step` on read units and weight rows that follow each other.
inline int run_length(const Step* step) {
  const __m512i first =
      _mm512_set1_epi64(static_cast<long long>(*reinterpret_cast<const std::uint64_t*>(step)));
  const __m512i next = _mm512_add_epi32(
      first, _mm512_set_epi32(7 * kWeightPitch, 7 * 4, 6 * kWeightPitch, 6 * 4, 5 * kWeightPitch,
                              5 * 4, 4 * kWeightPitch, 4 * 4, 3 * kWeightPitch, 3 * 4,
                              2 * kWeightPitch, 2 * 4, kWeightPitch, 4, 0, 0));
  const __m512i after = _mm512_add_epi32(
      next, _mm512_set1_epi64(static_cast<long long>(8 * kWeightPitch) << 32 | 8 * 4));
  const unsigned differ = _mm512_cmpneq_epi64_mask(next, _mm512_loadu_si512(step)) |
                          _mm512_cmpneq_epi64_mask(after, _mm512_loadu_si512(step + 8)) << 8;
  return __builtin_ctz(differ | 1u << kRows);
}

// Fewer than 16 units: matrices of which the others add nothing.  Weights that belong to other
// steps do no harm beside inputs of zero, but there must be weights.
template <int groups, int vectors>
inline void multiply_some(const char* const* inputs, std::ptrdiff_t input_pitch, int pixels,
                          const char* panel, std::ptrdiff_t weight, int units, Scratch& scratch) {
  const bool begins = weight + units * kWeightPitch < kRows * kWeightPitch;
  const int place = begins ? 0 : kRows - units;  // of the units in the matrices
  const __mmask16 mask = static_cast<__mmask16>(((1u << units) - 1) << place);
  for (int g = 0; g < groups; ++g) {
    const char* from = inputs[g] - place * static_cast<int>(kUnit);
    for (int p = 0; p < pixels; ++p) {
      _mm512_store_si512(scratch.inputs[g][p], _mm512_maskz_loadu_epi32(mask, from));
      from += input_pitch;
    }
  }
  const char* weights = panel + weight - place * kWeightPitch;
  if (begins) {
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < vectors; ++v) {
        const __m512i values = row < units
                                   ? _mm512_loadu_si512(weights + row * kWeightPitch + v * kLine)
                                   : _mm512_setzero_si512();
        _mm512_store_si512(scratch.weights[row][v], values);
      }
    }
    weights = reinterpret_cast<const char*>(scratch.weights);
  }
  barrier();
  const char* const copies[] = {reinterpret_cast<const char*>(scratch.inputs[0]),
                                reinterpret_cast<const char*>(scratch.inputs[1])};
  multiply<groups, vectors>(copies, kLine, weights);
}

template <int groups, int vectors>
void tile(int pixels, const Segment* segments, std::size_t count, const PerChannel& channels,
          const TileOutput& output) {
  static_assert(kPanel * kValueBytes <= static_cast<int>(kLine));
  Scratch scratch;
  for (int g = 0; g < groups; ++g) {
    for (int p = 0; p < pixels; ++p) {
      __builtin_prefetch(output.groups[g] + p * output.pixel_stride, 1);
      if (output.residual[0] != nullptr) {
        __builtin_prefetch(output.residual[g] + p * output.residual_stride);
      }
    }
  }
  if (configured != pixels) {
    _tile_loadconfig(&kConfigs[pixels - 1]);
    configured = pixels;
  }
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (const Segment* segment = segments; segment != segments + count; ++segment) {
    if constexpr (kQuantised) {
      if (segment->rescale != nullptr) {
        store_sums<groups, vectors>(scratch);
        for (int g = 0; g < groups; ++g) {
          for (int p = 0; p < pixels; ++p) {
            Sum(&sums)[vectors] = *reinterpret_cast<Sum(*)[vectors]>(scratch.sums[g][p]);
            for (int v = 0; v < vectors; ++v) {
              sums[v] = rescaled(sums[v], segment->rescale + v * kLanes);
            }
          }
        }
        load_sums<groups, vectors>(scratch);
      }
    }
    const char* prefetch = segment->prefetches_rows ? nullptr : segment->prefetch;
    const Step* const end = segment->steps + segment->depth;
    for (const Step* step = segment->steps; step != end;) {
      const std::ptrdiff_t left = end - step;
      const int length = run_length(step);
      const int units = length < left ? length : static_cast<int>(left);
      const char* const inputs[] = {segment->groups[0] + step->input,
                                    segment->groups[groups - 1] + step->input};
      if (units == kRows) {
        multiply<groups, vectors>(inputs, segment->pixel_stride, segment->weights + step->weight);
      } else {
        multiply_some<groups, vectors>(inputs, segment->pixel_stride, pixels, segment->weights,
                                       step->weight, units, scratch);
      }
      for (int i = 0; i < units && prefetch != nullptr; ++i) {
        __builtin_prefetch(prefetch, 0, 2);
        prefetch += kLine;
      }
      step += units;
    }
  }
  store_sums<groups, vectors>(scratch);
  const bool adds = output.residual[0] != nullptr;
  const Vector lowest = Vector{} + output.lowest;
  Total total[vectors]{};
  for (int g = 0; g < groups; ++g) {
    for (int p = 0; p < pixels; ++p) {
      const char* const residual = output.residual[g] + p * output.residual_stride;
      char* const pixel = output.groups[g] + p * output.pixel_stride;
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        const Sum sum = *reinterpret_cast<const Sum*>(scratch.sums[g][p][v]);
        Vector value = end_sum(begin_sum(channels.bias + v * kLanes) + sum, channels, v * kLanes);
        if (adds) {
          value += output.residual_scale * load_values(residual + v * kLanes * kValueBytes);
        }
        total[v] += store_values(pixel + v * kLanes * kValueBytes, at_least(lowest, value));
      }
    }
  }
  if (output.sums != nullptr) {
    for (int v = 0; v < vectors; ++v) {
      float* const sums = output.sums + v * kLanes;
      store(sums, load(sums) + __builtin_convertvector(total[v], Vector));
    }
  }
}

void run(const TileSize& size, const Segment* segments, std::size_t count,
         const PerChannel& channels, const TileOutput& output) {
  constexpr decltype(&tile<1, 1>) kTiles[kMaxGroups][kVectors] = {{tile<1, 1>, tile<1, 2>},
                                                                  {tile<2, 1>, tile<2, 2>}};
  kTiles[size.groups - 1][(size.channels - 1) / kLanes](static_cast<int>(size.pixels), segments,
                                                        count, channels, output);
}

void end_runs() {
  if (configured != 0) {
    _tile_release();
    configured = 0;
  }
}

#include "microkernels/igemm_nhwc/pack_chosen.h"

}  // namespace

extern const TileKernel kernel;
const TileKernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET,
                        kPrecision,
                        kLanes,
                        kVectors,
                        VARIANT_NR_STEP,
                        kMaxGroup,
                        kMaxPixels,
                        VARIANT_K_BLOCK,
                        run,
                        end_runs,
                        gather,
                        interleave};

}  // namespace adafuse::VARIANT
