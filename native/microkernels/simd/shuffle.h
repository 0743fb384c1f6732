// Included by the files that implement micro-kernels, in their namespaces: lanes of vectors by
// number, those of `b` counting on behind those of `a`.  Numbers that are known when it is compiled
// make one or two instructions of it.
template <typename V, typename Lanes>
[[gnu::always_inline]] inline V shuffle(V a, V b, Lanes lanes) {
#if defined(__clang__)  // which has no __builtin_shuffle
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result{};
#pragma clang loop unroll(full)
  for (int i = 0; i < kCount; ++i) {
    const int lane = static_cast<int>(lanes[i]);
    result[i] = lane < kCount ? a[lane] : b[lane - kCount];
  }
  return result;
#else
  return __builtin_shuffle(a, b, lanes);
#endif
}
