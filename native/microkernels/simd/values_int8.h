// Included by vectors.h: unsigned activations, signed weights, four channels a K group, exact sums
// in 32 bits.
using Input = Group;
using Acc = IntVector;
using AccHalf = IntHalf;
using Total = IntVector;  // of stored values
using TotalHalf = IntHalf;

constexpr Precision kPrecision = Precision::kInt8;
constexpr bool kQuantised = true;
constexpr float kMost = 255;  // the largest stored value

inline Input load_input(const char* from) {
  Input units;  // unaligned: pixels of a picture are not whole K groups apart
  __builtin_memcpy(&units, from, sizeof(units));
  return units;
}

#if defined(__ARM_FEATURE_DOTPROD)
// The instruction multiplies signed bytes: x - 128 takes the place of x, and `offset`, 128 times
// the sum of the weights, is added.  It is computed once for all pixels of a tile.
struct Weights {
  int8x16_t bytes;
  int32x4_t offset;
};
using WeightsHalf = Weights;
inline Weights load_weights(const char* from) {
  const int8x16_t bytes = vld1q_s8(reinterpret_cast<const std::int8_t*>(from));
  const int8x16_t half_offset = vdupq_n_s8(64);
  return {bytes, vshlq_n_s32(vdotq_s32(vdupq_n_s32(0), bytes, half_offset), 1)};
}
inline WeightsHalf load_weights_half(const char* from) {
  return load_weights(from);
}
#else
using Weights = GroupVector;
using WeightsHalf = GroupHalf;
inline Weights load_weights(const char* from) {
  return load_groups(from);
}
inline WeightsHalf load_weights_half(const char* from) {
  return *reinterpret_cast<const GroupHalf*>(from);
}
#endif

#if defined(__AVX512VNNI__)
inline Acc multiply_add(Acc acc, Input x, Weights w) {
  return (Acc)_mm512_dpbusd_epi32((__m512i)acc, _mm512_set1_epi32((int)x), (__m512i)w);
}
inline AccHalf multiply_add_half(AccHalf acc, Input x, WeightsHalf w) {
  return (AccHalf)_mm256_dpbusd_epi32((__m256i)acc, _mm256_set1_epi32((int)x), (__m256i)w);
}
#elif defined(__AVXVNNI__)
inline Acc multiply_add(Acc acc, Input x, Weights w) {
  return (Acc)_mm256_dpbusd_avx_epi32((__m256i)acc, _mm256_set1_epi32((int)x), (__m256i)w);
}
inline AccHalf multiply_add_half(AccHalf acc, Input x, WeightsHalf w) {
  return multiply_add(acc, x, w);
}
#elif defined(__ARM_FEATURE_DOTPROD)
inline Acc multiply_add(Acc acc, Input x, Weights w) {
  const int8x16_t less = vreinterpretq_s8_u32(vdupq_n_u32(x ^ 0x80808080u));  // x - 128
  return (Acc)vdotq_s32(vaddq_s32((int32x4_t)acc, w.offset), w.bytes, less);
}
inline AccHalf multiply_add_half(AccHalf acc, Input x, WeightsHalf w) {
  return multiply_add(acc, x, w);
}
#elif defined(__AVX2__)
// Multiplies bytes as 16-bit values: the first and third of each K group, then the second and
// fourth.
inline Acc multiply_add(Acc acc, Input x, Weights w) {
  const __m256i weights = (__m256i)w;
  const __m256i even = _mm256_set1_epi32((int)(x & 0x00ff00ffu));
  const __m256i odd = _mm256_set1_epi32((int)(x >> 8 & 0x00ff00ffu));
  const __m256i low = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8);
  const __m256i high = _mm256_srai_epi16(weights, 8);
  return acc + (Acc)_mm256_madd_epi16(even, low) + (Acc)_mm256_madd_epi16(odd, high);
}
inline AccHalf multiply_add_half(AccHalf acc, Input x, WeightsHalf w) {
  return multiply_add(acc, x, w);
}
#else
inline Acc multiply_add(Acc acc, Input x, Weights w) {
  for (int shift = 0; shift < 32; shift += 8) {
    acc += ((IntVector)(w << (24 - shift)) >> 24) * static_cast<std::int32_t>(x >> shift & 255u);
  }
  return acc;
}
inline AccHalf multiply_add_half(AccHalf acc, Input x, WeightsHalf w) {
  return multiply_add(acc, x, w);
}
#endif

inline Acc begin_acc(const float* /*bias*/) {
  return Acc{};
}
inline AccHalf begin_acc_half(const float* /*bias*/) {
  return AccHalf{};
}
inline Vector end_acc(Acc acc, const EpiloguePerChannel& channels, int first) {
  return __builtin_convertvector(acc, Vector) * load(channels.scale + first) +
         load(channels.bias + first);
}
inline Half end_acc_half(AccHalf acc, const EpiloguePerChannel& channels, int first) {
  return __builtin_convertvector(acc, Half) * load_half(channels.scale + first) +
         load_half(channels.bias + first);
}

// The nearest integers, ties to even.
#if defined(__AVX512F__)
inline IntVector nearest(Vector v) {
  return (IntVector)_mm512_maskz_cvtps_epi32(0xffff, (__m512)v);
}
#elif defined(__AVX2__)
inline IntVector nearest(Vector v) {
  return (IntVector)_mm256_cvtps_epi32((__m256)v);
}
#else
inline IntVector nearest(Vector v) {
  const Vector magic = Vector{} + 12582912.0f;  // 1.5 * 2^23: float32 has no fractions there
  const Vector size = v < 0 ? -v : v;
  return size < 4194304.0f ? (IntVector)(v + magic) - (IntVector)magic
                           : __builtin_convertvector(v, IntVector);
}
#endif
#if defined(__AVX512F__)
inline IntHalf nearest_half(Half v) {
  return (IntHalf)_mm256_cvtps_epi32((__m256)v);
}
#else
inline IntHalf nearest_half(Half v) {
  return nearest(v);
}
#endif
inline Acc rescaled(Acc acc, const float* by) {
  return nearest(__builtin_convertvector(acc, Vector) * load(by));
}
inline AccHalf rescaled_half(AccHalf acc, const float* by) {
  return nearest_half(__builtin_convertvector(acc, Half) * load_half(by));
}

inline GroupVector widen(const char* from) {
#if defined(__AVX512F__)  // one instruction, where the compiler would widen in parts
  return (GroupVector)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)from));
#else
  return __builtin_convertvector(*reinterpret_cast<const ByteVector*>(from), GroupVector);
#endif
}
inline Vector load_values(const char* from) {
  return __builtin_convertvector((IntVector)widen(from), Vector);
}
inline Half load_values_half(const char* from) {
  return __builtin_convertvector(
      __builtin_convertvector(*reinterpret_cast<const ByteHalf*>(from), IntHalf), Half);
}
inline Total store_values(char* to, Vector v) {
#if defined(__AVX512F__)
  const __m512i stored =
      _mm512_maskz_min_epi32(0xffff, (__m512i)nearest(v), _mm512_set1_epi32(255));
  _mm_storeu_si128((__m128i*)to, _mm512_maskz_cvtepi32_epi8(0xffff, stored));
  return (Total)stored;
#else
  const IntVector stored = nearest(v > kMost ? Vector{} + kMost : v);
  *reinterpret_cast<ByteVector*>(to) = __builtin_convertvector(stored, ByteVector);
  return stored;
#endif
}
inline TotalHalf store_values_half(char* to, Half v) {
  const IntHalf stored = nearest_half(v > kMost ? Half{} + kMost : v);
  *reinterpret_cast<ByteHalf*>(to) = __builtin_convertvector(stored, ByteHalf);
  return stored;
}

#if defined(__AVX2__)
// Merges four rows, 16 bytes at a time: interleaves bytes, then pairs of bytes.
template <int width>
inline void merge_channels(const char* channels, const std::uint32_t* offsets, Group* row) {
#pragma GCC unroll 16
  for (int i = 0; i < width; i += 16) {
    __m128i from[4];
#pragma GCC unroll 16
    for (int k = 0; k < 4; ++k) {
      from[k] = _mm_loadu_si128((const __m128i*)(channels + offsets[k] + i));
    }
    const __m128i low01 = _mm_unpacklo_epi8(from[0], from[1]);
    const __m128i high01 = _mm_unpackhi_epi8(from[0], from[1]);
    const __m128i low23 = _mm_unpacklo_epi8(from[2], from[3]);
    const __m128i high23 = _mm_unpackhi_epi8(from[2], from[3]);
    _mm_storeu_si128((__m128i*)(row + i), _mm_unpacklo_epi16(low01, low23));
    _mm_storeu_si128((__m128i*)(row + i + 4), _mm_unpackhi_epi16(low01, low23));
    _mm_storeu_si128((__m128i*)(row + i + 8), _mm_unpacklo_epi16(high01, high23));
    _mm_storeu_si128((__m128i*)(row + i + 12), _mm_unpackhi_epi16(high01, high23));
  }
}
#else
template <int width>
inline void merge_channels(const char* channels, const std::uint32_t* offsets, Group* row) {
  for (int i = 0; i < width; i += kLanes) {
    GroupVector units{};
    for (int k = 0; k < 4; ++k) {
      units |= widen(channels + offsets[k] + i) << 8 * k;
    }
    *reinterpret_cast<GroupVector*>(row + i) = units;
  }
}
#endif
