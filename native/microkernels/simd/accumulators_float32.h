// Included by values_*.h: sums in float32, which begin with the bias.
using Acc = Vector;
using AccHalf = Half;
using Total = Vector;  // of stored values
using TotalHalf = Half;

constexpr bool kQuantised = false;

inline Acc begin_acc(const float* bias) {
  return load(bias);
}
inline AccHalf begin_acc_half(const float* bias) {
  return load_half(bias);
}
inline Vector end_acc(Acc acc, const EpiloguePerChannel& /*channels*/, int /*first*/) {
  return acc;
}
inline Half end_acc_half(AccHalf acc, const EpiloguePerChannel& /*channels*/, int /*first*/) {
  return acc;
}
