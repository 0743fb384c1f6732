// Policy networks against the definition.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "operators/policy_network.h"
#include "tests/parallel.h"

using namespace adafuse;

namespace {

template <typename Weight>
std::vector<Weight> stored(const std::vector<float>& weights) {
  std::vector<Weight> result;
  for (const float weight : weights) {
    if constexpr (std::is_same_v<Weight, float>) {
      result.push_back(weight);
    } else {
      result.push_back({to_bfloat16(weight)});
    }
  }
  return result;
}

struct Case {
  std::size_t rows, features, hidden, channels;
  PolicyActions actions;
  bool rectifies, looks_back;
  std::vector<float> weight0, scale0, bias0, weight1, bias1, previous, current;

  Case(std::mt19937& random, std::size_t rows, std::size_t features, std::size_t hidden,
       std::size_t channels, const PolicyActions& actions = {}, bool rectifies = true,
       bool looks_back = true)
      : rows(rows),
        features(features),
        hidden(hidden),
        channels(channels),
        actions(actions),
        rectifies(rectifies),
        looks_back(looks_back) {
    // Small integers, whose sums are exact in any order.
    const auto draw = [&](std::vector<float>& values, std::size_t size) {
      std::uniform_int_distribution<int> integer(-4, 4);
      values.resize(size);
      std::generate(values.begin(), values.end(), [&] { return float(integer(random)); });
    };
    draw(weight0, hidden * pitch());
    draw(scale0, hidden);
    draw(bias0, hidden);
    draw(weight1, actions.count * channels * hidden);
    draw(bias1, actions.count * channels);
    draw(previous, rows * features);
    draw(current, rows * features);
  }

  // Weights of a hidden unit.
  std::size_t pitch() const { return looks_back ? 2 * features : features; }

  template <typename Weight>
  std::vector<float> weigh(const ParallelFor& parallel_for) const {
    std::vector<float> weighed(rows * hidden, -1);
    weigh_history(features, hidden, stored<Weight>(weight0).data(), previous.data(), rows,
                  weighed.data(), parallel_for);
    return weighed;
  }

  template <typename Weight>
  std::vector<std::int32_t> run(const PolicyHistory& history,
                                const ParallelFor& parallel_for) const {
    std::vector<std::int32_t> chosen(rows * channels, -1);
    const std::vector<Weight> w0 = stored<Weight>(weight0), w1 = stored<Weight>(weight1);
    decide(PolicyNetwork<Weight>{features, hidden, channels, w0.data(), scale0.data(), bias0.data(),
                                 w1.data(), bias1.data(), actions, rectifies},
           history, current.data(), rows, chosen.data(), parallel_for, test_workspaces());
    return chosen;
  }

  std::vector<float> expected_history() const {
    std::vector<float> sums;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        double sum = 0;
        for (std::size_t i = 0; i < features; ++i) {
          sum += double(weight0[unit * 2 * features + i]) * previous[row * features + i];
        }
        sums.push_back(float(sum));
      }
    }
    return sums;
  }

  std::vector<std::int32_t> expected() const {
    std::vector<std::int32_t> chosen;
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<double> units;
      for (std::size_t unit = 0; unit < hidden; ++unit) {
        double sum = 0;
        const float* const weights = weight0.data() + unit * pitch();
        for (std::size_t i = 0; i < features; ++i) {
          sum += looks_back ? double(weights[i]) * previous[row * features + i] : 0.0;
          sum += double(weights[pitch() - features + i]) * current[row * features + i];
        }
        const double value = scale0[unit] * sum + bias0[unit];
        units.push_back(rectifies ? std::max(0.0, value) : value);
      }
      for (std::size_t channel = 0; channel < channels; ++channel) {
        double best = 0;
        std::int32_t action = -1;
        for (std::size_t a = 0; a < actions.count; ++a) {
          const std::size_t output = channel * actions.count + a;
          double logit = bias1[output];
          for (std::size_t unit = 0; unit < hidden; ++unit) {
            logit += weight1[unit * actions.count * channels + output] * units[unit];
          }
          if (action < 0 || logit > best) {  // the first of equal logits
            best = logit;
            action = actions.values[a];
          }
        }
        chosen.push_back(action);
      }
    }
    return chosen;
  }
};

template <typename Weight>
void equals_the_definition() {
  std::mt19937 random(1);
  const auto between = [&](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random);
  };
  const auto check = [](const Case& c) {
    const std::vector<std::int32_t> expected = c.expected();
    const std::vector<float> weighed = c.weigh<Weight>(serial);
    CHECK(weighed == c.expected_history());
    CHECK(weighed == c.weigh<Weight>(threaded));
    for (const PolicyHistory& history :
         {PolicyHistory{c.previous.data(), nullptr}, PolicyHistory{nullptr, weighed.data()}}) {
      CHECK(c.run<Weight>(history, serial) == expected);
      CHECK(c.run<Weight>(history, threaded) == expected);
      CHECK(c.run<Weight>(history, c.rows % 4 == 1 ? nested() : serial) == expected);
    }
  };
  for (std::size_t rows = 1; rows <= 9; ++rows) {
    for (int i = 0; i < 12; ++i) {
      check(Case(random, rows, between(1, 70), between(1, 70), between(1, 40)));
    }
  }
  // Two actions, no ReLU, no history.
  const PolicyActions keep_reuse{2, {0, 1}}, keep_skip{2, {0, 2}};
  for (std::size_t rows = 1; rows <= 9; rows += 4) {
    for (int i = 0; i < 6; ++i) {
      const std::size_t features = between(1, 70), hidden = between(1, 70);
      check(Case(random, rows, features, hidden, between(1, 40), keep_reuse, i % 2 == 0));
      check(Case(random, rows, features, hidden, between(1, 40), {}, false));
      for (const PolicyActions& actions : {PolicyActions{}, keep_skip}) {
        const Case c(random, rows, features, hidden, between(1, 40), actions, i % 2 == 0, false);
        CHECK(c.run<Weight>({nullptr, nullptr}, serial) == c.expected());
        CHECK(c.run<Weight>({nullptr, nullptr}, threaded) == c.expected());
      }
    }
  }
  // Several blocks of hidden units in a part, and enough logits for threads to add up.
  check(Case(random, 1, 16, 16 * 70 + 3, 5));
  check(Case(random, 9, 5, 16 * 40 + 1, 130));
  // No hidden unit is active, or all are.
  for (const float bias : {-1e6f, 1e4f}) {
    Case c(random, 3, 20, 50, 30);
    std::fill(c.bias0.begin(), c.bias0.end(), bias);
    check(c);
  }
  // Any numbers: results are the same to the last bit with other threads, other rows, and whoever
  // weighs the history.
  {
    Case c(random, 7, 100, 90, 60);
    std::normal_distribution<float> normal;
    for (auto* values : {&c.weight0, &c.scale0, &c.weight1, &c.previous, &c.current}) {
      std::generate(values->begin(), values->end(), [&] { return normal(random); });
    }
    const std::vector<float> weighed = c.weigh<Weight>(serial);
    const std::vector<std::int32_t> actions = c.run<Weight>({nullptr, weighed.data()}, serial);
    CHECK(actions == c.run<Weight>({c.previous.data(), nullptr}, threaded));
    for (; c.rows > 1; --c.rows) {
      const std::vector<float> fewer = c.weigh<Weight>(threaded);
      CHECK(std::equal(fewer.begin(), fewer.end(), weighed.begin()));
    }
  }
  // Hidden units that are NaN count as inactive.
  Case c(random, 2, 10, 20, 10), without = c;
  c.scale0[3] = std::numeric_limits<float>::quiet_NaN();
  without.scale0[3] = without.bias0[3] = 0;
  CHECK(c.run<Weight>({c.previous.data(), nullptr}, serial) == without.expected());
}

}  // namespace

TEST_CASE("policy networks") {
  equals_the_definition<float>();
  equals_the_definition<BFloat16>();
}
