#include "adafuse/prediction.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace adafuse {

std::vector<std::size_t> Prediction::top(std::size_t clip, std::size_t count) const {
  const auto classes = static_cast<std::size_t>(logits.shape.at(1));
  const float* row = logits.values.data() + clip * classes;
  std::vector<std::size_t> order(classes);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [row](std::size_t a, std::size_t b) { return row[a] > row[b]; });
  order.resize(std::min(count, classes));
  return order;
}

std::vector<float> Prediction::probabilities(std::size_t clip) const {
  const std::int64_t classes = logits.shape.at(1);
  const float* row = logits.values.data() + static_cast<std::int64_t>(clip) * classes;
  std::vector<float> result(row, row + classes);
  const float best = *std::max_element(result.begin(), result.end());
  float sum = 0;
  for (float& value : result) {
    sum += value = std::exp(value - best);
  }
  for (float& value : result) {
    value /= sum;
  }
  return result;
}

}  // namespace adafuse
