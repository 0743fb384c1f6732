// A variant of the indirect-GEMM micro-kernel on NHWC on AMX, which multiplies matrices: up to 16
// pixels by 16 K groups, by 16 output channels.  Compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#include <immintrin.h>

#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse::VARIANT {
namespace {

#include "microkernels/simd/shuffle.h"
#include "microkernels/simd/vectors.h"

constexpr int kVectors = VARIANT_NR / kLanes;
constexpr int kNr = VARIANT_NR;
constexpr int kMrGroup = VARIANT_MR_GROUP;
constexpr int kMr = VARIANT_MR;

constexpr int kRows = 16;  // of an AMX tile, each a cache line

static_assert(kKr == VARIANT_KR && VARIANT_K_BLOCK == kRows && VARIANT_NR_STEP == kLanes);
static_assert(kLanes == kRows && kVectors == 2 && kMrGroup == kRows && kMr == 2 * kRows);

// Configuration of the eight AMX tiles: 0 ... 3 are accumulators of (group, vector), 4 and 5 inputs
// of a group's pixels, 6 and 7 weights of a vector.
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
thread_local int configured = 0;  // pixels that this thread's AMX tiles have rows for; 0: none
constexpr Config kConfigs[kRows] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

// Memory that AMX tiles are loaded from and stored to.  Compilers do not know that the instructions
// read and write it, so barrier() stands in between.
struct Scratch {
  alignas(kLine) Group acc[kMaxGroups][kRows][kVectors][kLanes];
  alignas(kLine) Group inputs[kMaxGroups][kRows][kLanes];
  alignas(kLine) Group weights[kRows][kVectors][kLanes];
};
inline void barrier() {
  __asm__ volatile("" ::: "memory");
}

constexpr std::ptrdiff_t kAccPitch = kVectors * kLine;  // of Scratch::acc
constexpr std::ptrdiff_t kBPitch = kNr * kGroupBytes;   // of a panel

// Calls an instruction for each accumulator; the number of an AMX tile is part of the instruction.
#define EACH_ACC(instruction)                          \
  instruction(0, scratch.acc[0][0][0], kAccPitch);     \
  if constexpr (vectors > 1) {                         \
    instruction(1, scratch.acc[0][0][1], kAccPitch);   \
  }                                                    \
  if constexpr (groups > 1) {                          \
    instruction(2, scratch.acc[1][0][0], kAccPitch);   \
    if constexpr (vectors > 1) {                       \
      instruction(3, scratch.acc[1][0][1], kAccPitch); \
    }                                                  \
  }
template <int groups, int vectors>
inline void load_acc(const Scratch& scratch) {
  barrier();
  EACH_ACC(_tile_loadd)
}
template <int groups, int vectors>
inline void store_acc(Scratch& scratch) {
  EACH_ACC(_tile_stored)
  barrier();
}
#undef EACH_ACC

#define MULTIPLY(acc, input, weight)    \
  if constexpr (kQuantised) {           \
    _tile_dpbusd(acc, input, weight);   \
  } else {                              \
    _tile_dpbf16ps(acc, input, weight); \
  }

// Adds the products of 16 K groups: `inputs` are pixels of each group, `input_pitch` bytes apart.
template <int groups, int vectors>
inline void multiply(const char* const* inputs, std::ptrdiff_t input_pitch, const char* weights) {
  _tile_loadd(6, weights, kBPitch);
  _tile_loadd(4, inputs[0], input_pitch);
  MULTIPLY(0, 4, 6)
  if constexpr (groups > 1) {
    _tile_loadd(5, inputs[1], input_pitch);
    MULTIPLY(2, 5, 6)
  }
  if constexpr (vectors > 1) {
    _tile_loadd(7, weights + kLine, kBPitch);
    MULTIPLY(1, 4, 7)
    if constexpr (groups > 1) {
      MULTIPLY(3, 5, 7)
    }
  }
}
#undef MULTIPLY

// The length, up to 16, of the run of K entries from `entry` on whose K groups and rows of B follow
// each other in memory.
inline int run_length(const KEntry* entry) {
  const __m512i first =
      _mm512_set1_epi64(static_cast<long long>(*reinterpret_cast<const std::uint64_t*>(entry)));
  const __m512i next =
      _mm512_add_epi32(first, _mm512_set_epi32(7 * kBPitch, 7 * 4, 6 * kBPitch, 6 * 4, 5 * kBPitch,
                                               5 * 4, 4 * kBPitch, 4 * 4, 3 * kBPitch, 3 * 4,
                                               2 * kBPitch, 2 * 4, kBPitch, 4, 0, 0));
  const __m512i after =
      _mm512_add_epi32(next, _mm512_set1_epi64(static_cast<long long>(8 * kBPitch) << 32 | 8 * 4));
  const unsigned differ = _mm512_cmpneq_epi64_mask(next, _mm512_loadu_si512(entry)) |
                          _mm512_cmpneq_epi64_mask(after, _mm512_loadu_si512(entry + 8)) << 8;
  return __builtin_ctz(differ | 1u << kRows);
}

// Adds the products of fewer than 16 K groups, `k_groups`: the other inputs are zeros, so that the
// other rows of weights may hold any numbers.  Rows in front of the panel do not exist: near its
// begin the weights are copied.
template <int groups, int vectors>
inline void multiply_some(const char* const* inputs, std::ptrdiff_t input_pitch, int pixels,
                          const char* panel, std::ptrdiff_t weight, int k_groups,
                          Scratch& scratch) {
  const bool begins = weight + k_groups * kBPitch < kRows * kBPitch;
  const int place = begins ? 0 : kRows - k_groups;  // of the K groups in the matrices
  const __mmask16 mask = static_cast<__mmask16>(((1u << k_groups) - 1) << place);
  for (int g = 0; g < groups; ++g) {
    const char* from = inputs[g] - place * static_cast<int>(kGroupBytes);
    for (int p = 0; p < pixels; ++p) {
      _mm512_store_si512(scratch.inputs[g][p], _mm512_maskz_loadu_epi32(mask, from));
      from += input_pitch;
    }
  }
  const char* weights = panel + weight - place * kBPitch;
  if (begins) {
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < vectors; ++v) {
        const __m512i values = row < k_groups
                                   ? _mm512_loadu_si512(weights + row * kBPitch + v * kLine)
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
void tile(int pixels, const GemmTerm* terms, std::size_t count, const EpiloguePerChannel& channels,
          const TileOutput& output) {
  static_assert(kNr * kValueBytes <= static_cast<int>(kLine));
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
  for (const GemmTerm* term = terms; term != terms + count; ++term) {
    if constexpr (kQuantised) {
      if (term->rescale != nullptr) {
        store_acc<groups, vectors>(scratch);
        for (int g = 0; g < groups; ++g) {
          for (int p = 0; p < pixels; ++p) {
            Acc(&acc)[vectors] = *reinterpret_cast<Acc(*)[vectors]>(scratch.acc[g][p]);
            for (int v = 0; v < vectors; ++v) {
              acc[v] = rescaled(acc[v], term->rescale + v * kLanes);
            }
          }
        }
        load_acc<groups, vectors>(scratch);
      }
    }
    const char* prefetch = term->prefetches_rows ? nullptr : term->prefetch;
    const KEntry* const end = term->entries + term->depth;
    for (const KEntry* entry = term->entries; entry != end;) {
      const std::ptrdiff_t left = end - entry;
      const int length = run_length(entry);
      const int k_groups = length < left ? length : static_cast<int>(left);
      const char* const inputs[] = {term->groups[0] + entry->a,
                                    term->groups[groups - 1] + entry->a};
      if (k_groups == kRows) {
        multiply<groups, vectors>(inputs, term->pixel_stride, term->weights + entry->b);
      } else {
        multiply_some<groups, vectors>(inputs, term->pixel_stride, pixels, term->weights, entry->b,
                                       k_groups, scratch);
      }
      for (int i = 0; i < k_groups && prefetch != nullptr; ++i) {
        __builtin_prefetch(prefetch, 0, 2);
        prefetch += kLine;
      }
      entry += k_groups;
    }
  }
  store_acc<groups, vectors>(scratch);
  const bool adds = output.residual[0] != nullptr;
  const Vector lowest = Vector{} + output.lowest;
  Total total[vectors]{};
  for (int g = 0; g < groups; ++g) {
    for (int p = 0; p < pixels; ++p) {
      const char* const residual = output.residual[g] + p * output.residual_stride;
      char* const pixel = output.groups[g] + p * output.pixel_stride;
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        const Acc acc = *reinterpret_cast<const Acc*>(scratch.acc[g][p][v]);
        Vector value = end_acc(begin_acc(channels.bias + v * kLanes) + acc, channels, v * kLanes);
        if (adds) {
          value += output.residual_scale * load_values(residual + v * kLanes * kValueBytes);
        }
        total[v] += store_values(pixel + v * kLanes * kValueBytes, at_least(lowest, value));
      }
    }
  }
  if (output.totals != nullptr) {
    for (int v = 0; v < vectors; ++v) {
      float* const totals = output.totals + v * kLanes;
      store(totals, load(totals) + __builtin_convertvector(total[v], Vector));
    }
  }
}

void run(const TileSize& size, const GemmTerm* terms, std::size_t count,
         const EpiloguePerChannel& channels, const TileOutput& output) {
  constexpr decltype(&tile<1, 1>) kTiles[kMaxGroups][kVectors] = {{tile<1, 1>, tile<1, 2>},
                                                                  {tile<2, 1>, tile<2, 2>}};
  kTiles[size.groups - 1][(size.channels - 1) / kLanes](static_cast<int>(size.pixels), terms, count,
                                                        channels, output);
}

void release() {
  if (configured != 0) {
    _tile_release();
    configured = 0;
  }
}

#include "microkernels/igemm_nhwc/pack_chosen.h"

}  // namespace

#include "microkernels/igemm_nhwc/variant.h"

}  // namespace adafuse::VARIANT
