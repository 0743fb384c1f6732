// Policy networks against the definition.
#include <algorithm>
#include <random>
#include <vector>

#include "kernels/policy_network.h"
#include "tests/check.h"
#include "tests/parallel.h"

using namespace adafuse;

namespace {

struct Case {
  std::size_t rows, features, hidden, channels;
  std::vector<float> weight0, scale0, bias0, weight1, bias1, previous, current;

  Case(std::mt19937& random, std::size_t rows, std::size_t features, std::size_t hidden,
       std::size_t channels)
      : rows(rows), features(features), hidden(hidden), channels(channels) {
    // Small integers, whose sums are exact in any order.
    const auto draw = [&](std::vector<float>& values, std::size_t size) {
      std::uniform_int_distribution<int> integer(-4, 4);
      values.resize(size);
      std::generate(values.begin(), values.end(), [&] { return float(integer(random)); });
    };
    draw(weight0, hidden * 2 * features);
    draw(scale0, hidden);
    draw(bias0, hidden);
    draw(weight1, 3 * channels * hidden);
    draw(bias1, 3 * channels);
    draw(previous, rows * features);
    draw(current, rows * features);
  }

  std::vector<std::int32_t> run(const ParallelFor& parallel_for) const {
    std::vector<std::int32_t> actions(rows * channels, -1);
    decide({features, hidden, channels, weight0.data(), scale0.data(), bias0.data(), weight1.data(),
            bias1.data()},
           previous.data(), current.data(), rows, actions.data(), parallel_for);
    return actions;
  }

  std::vector<std::int32_t> expected() const {
    std::vector<std::int32_t> actions;
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<double> units;
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        double sum = 0;
        for (std::size_t i = 0; i < features; ++i) {
          sum += double(weight0[unit * 2 * features + i]) * previous[row * features + i];
          sum += double(weight0[(unit * 2 + 1) * features + i]) * current[row * features + i];
        }
        units.push_back(std::max(0.0, scale0[unit] * sum + bias0[unit]));
      }
      for (std::size_t channel = 0; channel < channels; ++channel) {
        double best = 0;
        std::int32_t action = -1;
        for (std::int32_t a = 0; a < 3; ++a) {
          const std::size_t output = channel * 3 + std::size_t(a);
          double logit = bias1[output];
          for (std::size_t unit = 0; unit < hidden; ++unit) {
            logit += weight1[output * hidden + unit] * units[unit];
          }
          if (action < 0 || logit > best) {  // of equal ones the first
            best = logit;
            action = a;
          }
        }
        actions.push_back(action);
      }
    }
    return actions;
  }
};

}  // namespace

int main() {
  std::mt19937 random(1);
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  for (int i = 0; i < 60; ++i) {
    const Case c(random, between(1, 3), between(1, 70), between(1, 40), between(1, 40));
    CHECK(c.run(serial) == c.expected());
    CHECK(c.run(threaded) == c.expected());
  }
}
