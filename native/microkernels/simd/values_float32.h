// Included by vectors.h: float32 frames and weights.
#include "microkernels/simd/accumulators_float32.h"

using Input = float;
using Weights = Vector;
using WeightsHalf = Half;

constexpr Precision kPrecision = Precision::kFloat32;

inline Input load_input(const char* from) {
  return *reinterpret_cast<const float*>(from);
}
inline Weights load_weights(const char* from) {
  return load(from);
}
inline WeightsHalf load_weights_half(const char* from) {
  return load_half(from);
}
inline Vector multiply_add(Vector acc, Input x, Weights w) {
  return acc + x * w;
}
inline Half multiply_add_half(Half acc, Input x, WeightsHalf w) {
  return acc + x * w;
}
inline Vector load_values(const char* from) {
  return load(from);
}
inline Half load_values_half(const char* from) {
  return load_half(from);
}
inline Total store_values(char* to, Vector v) {
  store(to, v);
  return v;
}
inline TotalHalf store_values_half(char* to, Half v) {
  store_half(to, v);
  return v;
}
template <int width>
inline void merge_channels(const char* channels, const std::uint32_t* offsets, Group* row) {
  __builtin_memcpy(row, channels + offsets[0], width * kGroupBytes);
}
