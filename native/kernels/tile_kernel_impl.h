// The tile kernel for one instruction set.  The including file is compiled with that instruction
// set's flags and defines, in the namespace TILE_NAMESPACE, the `kernel` that it describes by the
// macros TILE_NAME, _LANES, _VECTORS, _GRANULE, _GROUP and _PIXELS.
//
// Nothing of the C++ library may be used here: an inline function compiled with these flags could
// be the copy that the linker keeps for the whole library, and fail on older processors.
#include "kernels/tile_kernel.h"

namespace adafuse::TILE_NAMESPACE {
namespace {

constexpr int kLanes = TILE_LANES;
constexpr int kVectors = TILE_VECTORS;
constexpr int kGranule = TILE_GRANULE;  // a vector or half of one
constexpr int kMaxGroup = TILE_GROUP;
constexpr int kMaxPixels = TILE_PIXELS;
constexpr int kPanel = kLanes * kVectors;
constexpr std::size_t kLine = 64;  // bytes of a cache line

static_assert(kGranule == kLanes || 2 * kGranule == kLanes);

using Vector
    [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias, gnu::aligned(sizeof(float))]] =
        float;
using Half
    [[gnu::vector_size(kGranule * sizeof(float)), gnu::may_alias, gnu::aligned(sizeof(float))]] =
        float;

// No templates here: an argument of a template loses the attributes of its type, its alignment too.
inline Vector load(const void* from) {
  return *static_cast<const Vector*>(from);
}
inline Half load_half(const void* from) {
  return *static_cast<const Half*>(from);
}
inline void store(float* to, Vector v) {
  *reinterpret_cast<Vector*>(to) = v;
}
inline void store_half(float* to, Half v) {
  *reinterpret_cast<Half*>(to) = v;
}

// Not a number stays what it is.
template <typename V>
inline V relu(V v) {
  return v < 0 ? V{} : v;
}

// `units` granules of channels: whole vectors and, if it does not come out even, half a one.
template <int pixels, int groups, int units>
void tile(const Segment* segments, std::size_t count, const float* bias, const TileOutput& output) {
  constexpr int vectors = units * kGranule / kLanes;
  constexpr bool half = units * kGranule % kLanes != 0;
  constexpr int tail = vectors * kLanes;       // where the half begins
  Vector sum[groups][pixels][vectors + half];  // the half has its own array
  Half sum_half[groups][pixels];
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        sum[g][p][v] = load(bias + v * kLanes);
      }
      if constexpr (half) {
        sum_half[g][p] = load_half(bias + tail);
      }
      if (output.residual[0] != nullptr) {
        __builtin_prefetch(output.residual[g] + p * output.residual_stride);
        __builtin_prefetch(output.residual[g] + p * output.residual_stride + kPanel - 1);
      }
    }
  }
  for (const Segment* segment = segments; segment != segments + count; ++segment) {
    const char* const first = segment->groups[0];
    const char* const second = segment->groups[groups - 1];
    const char* const weights = segment->weights;
    const std::ptrdiff_t stride = segment->pixel_stride;
    const char* prefetch = segment->prefetch != nullptr ? segment->prefetch : first;
    const std::size_t advance = segment->prefetch != nullptr ? kLine : 0;
    const Step* const end = segment->steps + segment->depth;
    for (const Step* step = segment->steps; step != end; ++step) {
      const char* ahead = weights + step[kStepsAhead].weight;
      __builtin_prefetch(ahead);
      if constexpr (units * kGranule * sizeof(float) > kLine) {
        __builtin_prefetch(ahead + kLine);
      }
      __builtin_prefetch(prefetch, 0, 2);
      prefetch += advance;
      const char* const row = weights + step->weight;
      Vector weight[vectors + half];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        weight[v] = load(row + v * kLanes * sizeof(float));
      }
      Half weight_half{};
      if constexpr (half) {
        weight_half = load_half(row + tail * sizeof(float));
      }
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) {
        const char* input = (g == 0 ? first : second) + step->input;
#pragma GCC unroll 16
        for (int p = 0; p < pixels; ++p) {
          const float x = *reinterpret_cast<const float*>(input + p * stride);
#pragma GCC unroll 16
          for (int v = 0; v < vectors; ++v) {
            sum[g][p][v] += x * weight[v];
          }
          if constexpr (half) {
            sum_half[g][p] += x * weight_half;
          }
        }
      }
    }
  }
  if (output.residual[0] != nullptr) {
#pragma GCC unroll 16
    for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
      for (int p = 0; p < pixels; ++p) {
        const float* residual = output.residual[g] + p * output.residual_stride;
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) {
          sum[g][p][v] += load(residual + v * kLanes);
        }
        if constexpr (half) {
          sum_half[g][p] += load_half(residual + tail);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
    for (int p = 0; p < pixels; ++p) {
      float* pixel = output.groups[g] + p * output.pixel_stride;
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        sum[g][p][v] = relu(sum[g][p][v]);
        store(pixel + v * kLanes, sum[g][p][v]);
      }
      if constexpr (half) {
        sum_half[g][p] = relu(sum_half[g][p]);
        store_half(pixel + tail, sum_half[g][p]);
      }
    }
  }
  if (output.sums != nullptr) {
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) {
      Vector total = load(output.sums + v * kLanes);
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
        for (int p = 0; p < pixels; ++p) {
          total += sum[g][p][v];
        }
      }
      store(output.sums + v * kLanes, total);
    }
    if constexpr (half) {
      Half total = load_half(output.sums + tail);
#pragma GCC unroll 16
      for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 16
        for (int p = 0; p < pixels; ++p) {
          total += sum_half[g][p];
        }
      }
      store_half(output.sums + tail, total);
    }
  }
}

using Tile = void (*)(const Segment*, std::size_t, const float*, const TileOutput&);

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

void run(const TileSize& size, const Segment* segments, std::size_t count, const float* bias,
         const TileOutput& output) {
  const std::size_t units = (size.channels + kGranule - 1) / kGranule;
  kTiles.of[size.pixels - 1][size.groups - 1][units - 1](segments, count, bias, output);
}

using Indices [[gnu::vector_size(kLanes * sizeof(std::int32_t))]] = std::int32_t;

// Swaps the off-diagonal halves of all blocks of 2 * distance rows and columns.
template <int distance>
inline void exchange(Vector* rows) {
  Indices low{}, high{};
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) {
    low[j] = (j & distance) != 0 ? j - distance + kLanes : j;
    high[j] = (j & distance) != 0 ? j + kLanes : j + distance;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & distance) == 0) {
      const Vector upper = rows[i], lower = rows[i + distance];
      rows[i] = __builtin_shuffle(upper, lower, low);
      rows[i + distance] = __builtin_shuffle(upper, lower, high);
    }
  }
  if constexpr (2 * distance < kLanes) {
    exchange<2 * distance>(rows);
  }
}

void gather(const float* const* rows, std::size_t count, std::size_t depth, float* panel) {
  for (std::size_t first = 0; first < count; first += kLanes) {
    for (std::size_t k = 0; k < depth; k += kLanes) {
      Vector block[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        block[i] = load(rows[first + i] + k);
      }
      exchange<1>(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        store(panel + (k + i) * kPanel + first, block[i]);
      }
    }
  }
}

}  // namespace

extern const TileKernel kernel;
const TileKernel kernel{TILE_NAME, kLanes, kVectors, kGranule, kMaxGroup, kMaxPixels, run, gather};

}  // namespace adafuse::TILE_NAMESPACE
