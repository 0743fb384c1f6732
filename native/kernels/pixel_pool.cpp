#include "kernels/pixel_pool.h"

#include <algorithm>
#include <cstdint>

namespace adafuse {
namespace {

#if defined(__x86_64__)
#define FOR_WIDE_VECTORS [[gnu::target_clones("avx2", "default")]]
#else
#define FOR_WIDE_VECTORS
#endif

// The largest of `count` pixels, value by value.  Stored values that are not negative order like
// the integers of the same bits.
template <typename Bits>
inline void take_largest(const char* const* pixels, std::size_t count, std::size_t values,
                         char* to) {
  Bits* const largest = reinterpret_cast<Bits*>(to);
  if (count == kWindowPixels) {  // the same with a constant, for one pass in registers
    const Bits* from[kWindowPixels];
    for (std::size_t i = 0; i < kWindowPixels; ++i) {
      from[i] = reinterpret_cast<const Bits*>(pixels[i]);
    }
    for (std::size_t i = 0; i < values; ++i) {
      Bits most = from[0][i];
#pragma GCC unroll 16
      for (std::size_t k = 1; k < kWindowPixels; ++k) {
        most = std::max(most, from[k][i]);
      }
      largest[i] = most;
    }
    return;
  }
  std::fill_n(largest, values, Bits{0});
  for (std::size_t k = 0; k < count; ++k) {
    const Bits* const from = reinterpret_cast<const Bits*>(pixels[k]);
    for (std::size_t i = 0; i < values; ++i) {
      largest[i] = std::max(largest[i], from[i]);
    }
  }
}

inline void rescale(std::uint8_t* values, std::size_t count, float factor) {
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::uint8_t>(to_integer(factor * values[i], 0, 255));
  }
}

inline void take_mean(const char* const* pixels, std::size_t values, float share,
                      std::uint8_t* __restrict to, float* __restrict sums) {
  const std::uint8_t* from[kWindowPixels];
  for (std::size_t k = 0; k < kWindowPixels; ++k) {
    from[k] = reinterpret_cast<const std::uint8_t*>(pixels[k]);
  }
  for (std::size_t i = 0; i < values; ++i) {
    std::int32_t total = 0;
#pragma GCC unroll 16
    for (std::size_t k = 0; k < kWindowPixels; ++k) {
      total += from[k][i];
    }
    const std::int32_t mean = to_integer(share * static_cast<float>(total), 0, 255);
    to[i] = static_cast<std::uint8_t>(mean);
    sums[i] += static_cast<float>(mean);
  }
}

}  // namespace

FOR_WIDE_VECTORS void take_largest(Precision precision, const char* const* pixels,
                                   std::size_t count, std::size_t values, char* to, float* sums,
                                   float factor) {
  if (precision == Precision::kFloat32) {
    take_largest<std::int32_t>(pixels, count, values, to);
    for (std::size_t i = 0; i < values; ++i) {
      sums[i] += reinterpret_cast<const float*>(to)[i];
    }
  } else if (precision == Precision::kBFloat16) {
    take_largest<std::int16_t>(pixels, count, values, to);
    for (std::size_t i = 0; i < values; ++i) {
      sums[i] += decode(Precision::kBFloat16, to, i);
    }
  } else {
    take_largest<std::uint8_t>(pixels, count, values, to);
    if (factor != 1) {
      rescale(reinterpret_cast<std::uint8_t*>(to), values, factor);
    }
    for (std::size_t i = 0; i < values; ++i) {
      sums[i] += decode(Precision::kInt8, to, i);
    }
  }
}

FOR_WIDE_VECTORS void take_mean(Precision precision, const char* const* pixels, std::size_t values,
                                char* to, float* sums, float factor) {
  constexpr float kShare = 1.0f / kWindowPixels;
  if (precision == Precision::kFloat32) {
    const float* from[kWindowPixels];
    for (std::size_t k = 0; k < kWindowPixels; ++k) {
      from[k] = reinterpret_cast<const float*>(pixels[k]);
    }
    for (std::size_t i = 0; i < values; ++i) {
      float total = 0;
#pragma GCC unroll 16
      for (std::size_t k = 0; k < kWindowPixels; ++k) {
        total += from[k][i];
      }
      reinterpret_cast<float*>(to)[i] = total * kShare;
      sums[i] += total * kShare;
    }
    return;
  }
  if (precision == Precision::kInt8) {
    take_mean(pixels, values, factor * kShare, reinterpret_cast<std::uint8_t*>(to), sums);
    return;
  }
  for (std::size_t i = 0; i < values; ++i) {
    float total = 0;
#pragma GCC unroll 16
    for (std::size_t k = 0; k < kWindowPixels; ++k) {
      total += decode(Precision::kBFloat16, pixels[k], i);
    }
    encode(Precision::kBFloat16, total * kShare, to, i);
    sums[i] += decode(Precision::kBFloat16, to, i);
  }
}

}  // namespace adafuse
