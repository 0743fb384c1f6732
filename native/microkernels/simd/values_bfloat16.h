// Included by vectors.h: bfloat16 frames and weights, pairs of channels, sums in float32.
#include "microkernels/simd/accumulators_float32.h"

using Input = std::uint32_t;
using Weights = GroupVector;
using WeightsHalf = GroupHalf;

constexpr Precision kPrecision = Precision::kBFloat16;
constexpr int kValue = 2;  // bytes

inline Input load_input(const char* from) {
  Input units;  // unaligned: pixels of a picture are not whole K groups apart
  __builtin_memcpy(&units, from, sizeof(units));
  return units;
}
inline Weights load_weights(const char* from) {
  return load_groups(from);
}
inline WeightsHalf load_weights_half(const char* from) {
  return *reinterpret_cast<const GroupHalf*>(from);
}

#if defined(__AVX512BF16__)
inline Vector multiply_add(Vector acc, Input x, Weights w) {
  return (Vector)_mm512_dpbf16_ps((__m512)acc, (__m512bh)_mm512_set1_epi32((int)x), (__m512bh)w);
}
inline Half multiply_add_half(Half acc, Input x, WeightsHalf w) {
  return (Half)_mm256_dpbf16_ps((__m256)acc, (__m256bh)_mm256_set1_epi32((int)x), (__m256bh)w);
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
// Mask of the second value of a K group; a value is the upper half of a float.
constexpr Group kUpper = 0xffff0000u;

inline Vector multiply_add(Vector acc, Input x, Weights w) {
  const GroupVector both = x - GroupVector{};
  acc += (Vector)(both << 16) * (Vector)(w << 16);
  return acc + (Vector)(both & kUpper) * (Vector)(w & kUpper);
}
inline Half multiply_add_half(Half acc, Input x, WeightsHalf w) {
  const GroupHalf both = x - GroupHalf{};
  acc += (Half)(both << 16) * (Half)(w << 16);
  return acc + (Half)(both & kUpper) * (Half)(w & kUpper);
}
// Floats whose upper halves are the nearest bfloat16, ties to even; NaN stays NaN.
inline GroupVector rounded(Vector v) {
  const GroupVector bits = (GroupVector)v;
  return v == v ? bits + 0x7fffu + (bits >> 16 & 1u) : bits | 0x400000u;
}
inline GroupHalf rounded_half(Half v) {
  const GroupHalf bits = (GroupHalf)v;
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

inline GroupVector widen(const char* from) {
#if defined(__AVX512F__)  // one instruction, where the compiler would widen in halves
  return (GroupVector)_mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256((const __m256i*)from));
#else
  return __builtin_convertvector(*reinterpret_cast<const ShortVector*>(from), GroupVector);
#endif
}
inline Vector load_values(const char* from) {
  return (Vector)(widen(from) << 16);
}
inline Half load_values_half(const char* from) {
  return (Half)(__builtin_convertvector(*reinterpret_cast<const ShortHalf*>(from), GroupHalf)
                << 16);
}
template <int width>
inline void merge_channels(const char* channels, const std::uint32_t* offsets, Group* row) {
#pragma GCC unroll 16
  for (int i = 0; i < width; i += kLanes) {
    *reinterpret_cast<GroupVector*>(row + i) =
        widen(channels + offsets[0] + i * kValue) | widen(channels + offsets[1] + i * kValue) << 16;
  }
}
