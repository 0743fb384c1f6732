// Dense arrays in C order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

namespace adafuse {

using Shape = std::vector<std::int64_t>;

inline std::size_t element_count(const Shape& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

template <class T>
struct Tensor {
  Shape shape;
  std::vector<T> values;  // element_count(shape) of them, last dimension fastest

  Tensor() = default;
  explicit Tensor(Shape of_shape) : shape(std::move(of_shape)), values(element_count(shape)) {}
};

}  // namespace adafuse
