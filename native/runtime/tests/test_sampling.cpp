// Segment sampling against indices that Python's tests read too.
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "adafuse/errors.hpp"
#include "adafuse/sampling.hpp"
#include "tests/check.h"

using namespace adafuse;

namespace {

// Lines of frames, segments and the indices, after one that begins with "#".
void equals_shared_indices(const char* path) {
  std::ifstream file(path);
  std::string line;
  int cases = 0;
  while (std::getline(file, line)) {
    if (line[0] == '#') {
      continue;
    }
    std::istringstream words(line);
    std::int64_t frames = 0, segments = 0, index = 0;
    words >> frames >> segments;
    std::vector<std::int64_t> expected;
    while (words >> index) {
      expected.push_back(index);
    }
    CHECK(center_indices(frames, segments) == expected);
    ++cases;
  }
  CHECK(cases > 50);
}

void makes_a_clip() {
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
    CHECK(clip.values[i] == expected || clip.values[i] == expected / 255);
  }
}

void refuses_nothing() {
  for (const auto& [frames, segments] : {std::pair{0, 8}, {8, 0}, {-1, 8}, {8, -1}}) {
    try {
      center_indices(frames, segments);
      CHECK(false);
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).find("Cannot take") == 0);
    }
  }
}

}  // namespace

int main() {
  equals_shared_indices(ADAFUSE_SAMPLING_INDICES);
  makes_a_clip();
  refuses_nothing();
}
