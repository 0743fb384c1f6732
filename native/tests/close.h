// Comparing millions of values: only those that differ cost the test framework's time.
#pragma once

#include <doctest/doctest.h>

#include <cmath>

// Fails unless two numbers differ by `most` at most; so it does for NaN.
#define CHECK_CLOSE(got, expected, most)                                        \
  do {                                                                          \
    const double got_ = (got), expected_ = (expected), most_ = (most);          \
    if (!(std::abs(got_ - expected_) <= most_)) {                               \
      FAIL_CHECK(#got " is ", got_, ", not within ", most_, " of ", expected_); \
    }                                                                           \
  } while (false)
