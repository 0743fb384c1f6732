// Included by values_*.h: sums in float32, which begin with the bias.
using Sum = Vector;
using SumHalf = Half;
using Total = Vector;  // of stored values
using TotalHalf = Half;

constexpr bool kQuantised = false;

inline Sum begin_sum(const float* bias) {
  return load(bias);
}
inline SumHalf begin_sum_half(const float* bias) {
  return load_half(bias);
}
inline Vector end_sum(Sum sum, const PerChannel& /*channels*/, int /*first*/) {
  return sum;
}
inline Half end_sum_half(SumHalf sum, const PerChannel& /*channels*/, int /*first*/) {
  return sum;
}
