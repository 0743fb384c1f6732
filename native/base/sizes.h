// Sizes, which may come from a file: the largest one, and arithmetic that does not overflow.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <stdexcept>

namespace adafuse {

// The largest dimension or count, so that sums of a few of them are far from overflow.
constexpr std::size_t kMostSize = 0x7fffffff;

// The quotient, rounded upwards.
constexpr std::size_t ceil_div(std::size_t value, std::size_t by) {
  return (value + by - 1) / by;
}

// The product of sizes.  Throws std::invalid_argument where it exceeds half of the address space.
inline std::size_t checked_product(std::initializer_list<std::size_t> factors) {
  constexpr std::size_t kMostBytes = static_cast<std::size_t>(-1) / 2;
  std::size_t product = 1;
  for (const std::size_t factor : factors) {
    if (factor == 0) {
      return 0;
    }
    if (product > kMostBytes / factor) {
      throw std::invalid_argument("the tensors are too large: their size overflows");
    }
    product *= factor;
  }
  return product;
}

}  // namespace adafuse
