// Segment sampling against indices that Python's tests read too.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "adafuse/errors.hpp"
#include "adafuse/sampling.hpp"
#include "tests/vectors.h"

using namespace adafuse;

TEST_CASE("sampling: the middle frame of every segment") {
  for (const auto& entry : read_cases("sampling")) {
    CAPTURE(entry.dump());
    CHECK(center_indices(entry["frames"], entry["segments"]) ==
          entry["indices"].get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("sampling: a clip") {
  Metadata metadata;
  metadata.num_segments = 4;
  metadata.preprocessing.resize = metadata.preprocessing.crop = 2;
  metadata.preprocessing.std = {1, 1, 1};
  std::vector<std::uint8_t> pixels(2 * 2 * 3);
  std::vector<std::int64_t> asked;
  const auto read = [&](std::int64_t index) {
    asked.push_back(index);
    pixels.assign(pixels.size(), static_cast<std::uint8_t>(10 * index));
    return Frame{pixels.data(), 2, 2};
  };
  const Tensor<float> clip = sample_clip(2, metadata, read);
  CHECK((clip.shape == Shape{1, 4, 3, 2, 2}));
  CHECK((asked == std::vector<std::int64_t>{0, 1}));
  for (std::size_t i = 0; i < clip.values.size(); ++i) {
    const float expected = i < 12 ? 0 : 10;  // the last frame is repeated
    CHECK(clip.values[i] == expected);
  }
}

TEST_CASE("sampling: nothing to sample is refused") {
  for (const auto& [frames, segments] : {std::pair{0, 8}, {8, 0}, {-1, 8}, {8, -1}}) {
    CHECK_THROWS_WITH_AS(center_indices(frames, segments), doctest::Contains("Cannot take"),
                         InputError);
  }
}
