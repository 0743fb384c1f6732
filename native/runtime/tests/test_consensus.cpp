// Means over a stream's frames that Python gives too.
#include <doctest/doctest.h>

#include <vector>

#include "src/consensus.h"
#include "tests/vectors.h"

using adafuse::Tensor;
using nlohmann::json;

namespace {

Tensor<float> to_tensor(const json& rows) {
  Tensor<float> result(
      {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size())});
  result.values.clear();
  for (const json& row : rows) {
    for (const json& value : row) {
      result.values.push_back(value);
    }
  }
  return result;
}

}  // namespace

TEST_CASE("consensus: weighted means of the frames") {
  for (const json& entry : adafuse::read_cases("consensus")) {
    adafuse::StreamOptions options;
    options.streams = entry["logits"][0].size();
    options.consensus = entry["kind"];
    options.window = entry["window"];
    options.decay = entry["decay"];
    const auto consensus = adafuse::make_consensus(options, entry["logits"][0][0].size());
    for (std::size_t t = 0; t < entry["logits"].size(); ++t) {
      if (t == entry["reset_stream_1_before"]) {
        consensus->reset(1);
      }
      const Tensor<float> got = consensus->update(to_tensor(entry["logits"][t]));
      const Tensor<float> expected = to_tensor(entry["expected"][t]);
      CAPTURE(options.consensus);
      CAPTURE(t);
      for (std::size_t i = 0; i < expected.values.size(); ++i) {
        CHECK(got.values[i] == doctest::Approx(expected.values[i]).epsilon(1e-5));
      }
    }
  }
}
