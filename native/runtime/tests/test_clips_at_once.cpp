// The number of clips that run at a time, against numbers that Python's tests read too.
#include <doctest/doctest.h>

#include <limits>

#include "src/clips_at_once.h"
#include "tests/vectors.h"

using namespace adafuse;

TEST_CASE("clips at once") {
  for (const auto& entry : read_cases("clips_at_once")) {
    CAPTURE(entry.dump());
    Metadata metadata;
    metadata.portable_name = entry["fused"] ? "portable.onnx" : "";
    metadata.precision = entry["precision"];
    metadata.num_segments = entry["segments"];
    metadata.preprocessing.crop = entry["side"];
    const auto all = std::numeric_limits<std::int64_t>::max();
    CHECK(clips_at_once(metadata) ==
          ((entry["clips"].is_null() ? all : entry["clips"].get<std::int64_t>())));
  }
}
