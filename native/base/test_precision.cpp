// Rounding to bfloat16 as ml_dtypes and Python's tests have it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/precision.h"
#include "tests/vectors.h"

namespace {

float from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

TEST_CASE("bfloat16: nearest, ties to even; not a number stays that") {
  for (const auto& entry : adafuse::read_cases("bfloat16")) {
    const std::uint32_t single = entry["float32"];
    const std::uint16_t half = adafuse::to_bfloat16(from_bits(single));
    CAPTURE(single);
    if (entry["bfloat16"].is_null()) {
      CHECK(std::isnan(from_bits(std::uint32_t{half} << 16)));
    } else {
      CHECK(half == entry["bfloat16"].get<std::uint16_t>());
    }
  }
}
