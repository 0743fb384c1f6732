// Pixels of Pillow, which Python's tests compare with too.
#include <doctest/doctest.h>

#include <numeric>
#include <string>
#include <vector>

#include "adafuse/errors.hpp"
#include "adafuse/preprocess.hpp"
#include "tests/vectors.h"

using adafuse::Frame;
using adafuse::Preprocessing;
using nlohmann::json;

TEST_CASE("preprocessing: resized and cropped as by Pillow, then normalised") {
  for (const json& entry : adafuse::read_cases("preprocessing")) {
    const json& settings = entry["preprocessing"];
    const std::string bytes = adafuse::decode_base64(entry["frame"]);
    const Frame frame{reinterpret_cast<const std::uint8_t*>(bytes.data()), entry["height"],
                      entry["width"]};
    Preprocessing plain;
    plain.resize = settings["resize"];
    plain.crop = settings["crop"];
    plain.std = {1, 1, 1};
    const auto got = adafuse::preprocess(frame, plain);
    const std::string pixels = adafuse::decode_base64(entry["pixels"]);
    const std::size_t area = pixels.size() / 3;
    CAPTURE(settings.dump());
    REQUIRE(got.values.size() == pixels.size());
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      const auto expected = static_cast<float>(static_cast<std::uint8_t>(pixels[i]));
      CHECK(got.values[i % 3 * area + i / 3] == expected);
    }

    Preprocessing normal = plain;
    normal.mean = settings["mean"];
    normal.std = settings["std"];
    normal.scale = settings["scale"];
    normal.channel_order = settings["channel_order"];
    const auto values = adafuse::preprocess(frame, normal).values;
    CHECK(std::accumulate(values.begin(), values.end(), 0.0) ==
          doctest::Approx(entry["sum"].get<double>()).epsilon(1e-5));
  }
}

TEST_CASE("preprocessing: one colour at any size") {
  Preprocessing settings;
  settings.resize = 36;
  settings.crop = 32;
  settings.std = {1, 1, 1};
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 300}, {300, 7}, {64, 64}}) {
    const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * height * width), 201);
    const auto result = adafuse::preprocess({pixels.data(), height, width}, settings);
    CHECK(result.values == std::vector<float>(3 * 32 * 32, 201.0f));
  }
}

TEST_CASE("preprocessing: a frame without pixels is refused") {
  CHECK_THROWS_AS(adafuse::preprocess({nullptr, 0, 5}, Preprocessing()), adafuse::InputError);
}
