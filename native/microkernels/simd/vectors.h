// Included by the files that implement micro-kernels, in their namespaces: vectors of the
// instruction set, and the values of the data type in VARIANT_VALUES.
constexpr int kLanes = VARIANT_LANES;
constexpr int kHalf = kLanes == 16 ? 8 : kLanes;  // lanes of a Half; of short vectors that is all

using Group = std::uint32_t;

// No templates for these: an argument of a template loses the attributes of its type, its
// alignment too.
#define VECTOR_OF(type, count) \
  [[gnu::vector_size((count) * sizeof(type)), gnu::may_alias, gnu::aligned(sizeof(type))]] = type
using Vector VECTOR_OF(float, kLanes);
using Half VECTOR_OF(float, kHalf);
using GroupVector VECTOR_OF(Group, kLanes);
using GroupHalf VECTOR_OF(Group, kHalf);
using IntVector VECTOR_OF(std::int32_t, kLanes);
using IntHalf VECTOR_OF(std::int32_t, kHalf);
using ByteVector VECTOR_OF(std::uint8_t, kLanes);
using ByteHalf VECTOR_OF(std::uint8_t, kHalf);
using ShortVector VECTOR_OF(std::uint16_t, kLanes);
using ShortHalf VECTOR_OF(std::uint16_t, kHalf);
#undef VECTOR_OF

inline Vector load(const void* from) {
  return *static_cast<const Vector*>(from);
}
inline Half load_half(const void* from) {
  return *static_cast<const Half*>(from);
}
inline GroupVector load_groups(const void* from) {
  return *static_cast<const GroupVector*>(from);
}
inline void store(void* to, Vector v) {
  *static_cast<Vector*>(to) = v;
}
inline void store_half(void* to, Half v) {
  *static_cast<Half*>(to) = v;
}

// The larger of both, or `v` where that is NaN.
#if defined(__AVX512F__)
inline Vector at_least(Vector lowest, Vector v) {
  return (Vector)_mm512_maskz_max_ps(0xffff, (__m512)lowest, (__m512)v);
}
inline Half at_least_half(Half lowest, Half v) {
  return (Half)_mm256_max_ps((__m256)lowest, (__m256)v);
}
#else
inline Vector at_least(Vector lowest, Vector v) {
  return v < lowest ? lowest : v;
}
inline Half at_least_half(Half lowest, Half v) {
  return v < lowest ? lowest : v;
}
#endif

// The header of a data type defines
//   Input, Weights, Acc, Total     a K group of A, a row of K groups of B, accumulators, sums of
//   stored
//                                  values; all but Input also with the suffix Half
//   load_input(), load_weights()   from A and B
//   multiply_add()                 adds the products of a K group and a row to accumulators
//   begin_acc(), end_acc()         accumulators before the first product; their values in units of
//   C load_values(), store_values()  C and residuals; stored values are rounded and returned
//   merge_channels()               KR rows of single channels as one row of K groups
// and in int8 rescaled(), the accumulators multiplied by a factor.
#include VARIANT_VALUES

constexpr int kValueBytes = static_cast<int>(value_bytes(kPrecision));
constexpr int kKr = static_cast<int>(kr(kPrecision));
