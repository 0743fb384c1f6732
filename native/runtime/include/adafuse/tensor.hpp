// Dense arrays in C order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "adafuse/errors.hpp"

namespace adafuse {

using Shape = std::vector<std::int64_t>;

// Elements of a tensor of this shape.  Throws InputError where no memory could hold it.
inline std::size_t element_count(const Shape& shape) {
  constexpr std::int64_t most = PTRDIFF_MAX / 8;  // elements have at most 8 bytes
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || (size > 0 && count > most / size)) {
      throw InputError("A tensor has a size below zero, or more elements than memory can hold.");
    }
    count *= size;
  }
  return static_cast<std::size_t>(count);
}

template <class T>
struct Tensor {
  Shape shape;
  std::vector<T> values;  // element_count(shape) of them, last dimension fastest

  Tensor() = default;
  explicit Tensor(Shape of_shape) : shape(std::move(of_shape)), values(element_count(shape)) {}
};

}  // namespace adafuse
