// Included by vectors.h: bfloat16 frames and weights, pairs of channels, sums in float32.
#include "microkernels/simd/accumulators_float32.h"

using Input = std::uint32_t;
using Weights = UnitVector;
using WeightsHalf = UnitHalf;

constexpr Precision kPrecision = Precision::kBFloat16;
constexpr int kValue = 2;  // bytes

inline Input load_input(const char* from) {
  Input units;  // at any address: a picture's pixels are not whole units apart
  __builtin_memcpy(&units, from, sizeof(units));
  return units;
}
inline Weights load_weights(const char* from) {
  return load_units(from);
}
inline WeightsHalf load_weights_half(const char* from) {
  return *reinterpret_cast<const UnitHalf*>(from);
}

#if defined(__AVX512BF16__)
inline Vector multiply_add(Vector sum, Input x, Weights w) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)x), (__m512bh)w);
}
inline Half multiply_add_half(Half sum, Input x, WeightsHalf w) {
  return (Half)_mm256_dpbf16_ps((__m256)sum, (__m256bh)_mm256_set1_epi32((int)x), (__m256bh)w);
}
inline Total store_values(char* to, Vector v) {
  _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh((__m512)v));
  return v;
}
inline TotalHalf store_values_half(char* to, Half v) {
  _mm_storeu_si128((__m128i*)to, (__m128i)_mm256_cvtneps_pbh((__m256)v));
  return v;
}
#else
// A value is the upper half of a float.
constexpr Unit kUpper = 0xffff0000u;

inline Vector multiply_add(Vector sum, Input x, Weights w) {
  const UnitVector both = x - UnitVector{};
  sum += (Vector)(both << 16) * (Vector)(w << 16);
  return sum + (Vector)(both & kUpper) * (Vector)(w & kUpper);
}
inline Half multiply_add_half(Half sum, Input x, WeightsHalf w) {
  const UnitHalf both = x - UnitHalf{};
  sum += (Half)(both << 16) * (Half)(w << 16);
  return sum + (Half)(both & kUpper) * (Half)(w & kUpper);
}
// To the nearest, ties to even; not a number stays that.
inline UnitVector rounded(Vector v) {
  const UnitVector bits = (UnitVector)v;
  return v == v ? bits + 0x7fffu + (bits >> 16 & 1u) : bits | 0x400000u;
}
inline UnitHalf rounded_half(Half v) {
  const UnitHalf bits = (UnitHalf)v;
  return v == v ? bits + 0x7fffu + (bits >> 16 & 1u) : bits | 0x400000u;
}
inline Total store_values(char* to, Vector v) {
  *reinterpret_cast<ShortVector*>(to) = __builtin_convertvector(rounded(v) >> 16, ShortVector);
  return v;
}
inline TotalHalf store_values_half(char* to, Half v) {
  *reinterpret_cast<ShortHalf*>(to) = __builtin_convertvector(rounded_half(v) >> 16, ShortHalf);
  return v;
}
#endif

inline UnitVector widen(const char* from) {
#if defined(__AVX512F__)  // which the compiler would do in halves
  return (UnitVector)_mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256((const __m256i*)from));
#else
  return __builtin_convertvector(*reinterpret_cast<const ShortVector*>(from), UnitVector);
#endif
}
inline Vector load_values(const char* from) {
  return (Vector)(widen(from) << 16);
}
inline Half load_values_half(const char* from) {
  return (Half)(__builtin_convertvector(*reinterpret_cast<const ShortHalf*>(from), UnitHalf) << 16);
}
template <int width>
inline void merge_channels(const char* channels, const std::uint32_t* offsets, Unit* row) {
#pragma GCC unroll 16
  for (int i = 0; i < width; i += kLanes) {
    *reinterpret_cast<UnitVector*>(row + i) =
        widen(channels + offsets[0] + i * kValue) | widen(channels + offsets[1] + i * kValue) << 16;
  }
}
