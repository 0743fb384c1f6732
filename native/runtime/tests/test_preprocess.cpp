// Cases of resizing and cropping whose result is evident.
#include <vector>

#include "adafuse/errors.hpp"
#include "adafuse/preprocess.hpp"
#include "tests/check.h"

using adafuse::Preprocessing;

namespace {

Preprocessing sides(int resize, int crop) {
  Preprocessing result;
  result.resize = resize;
  result.crop = crop;
  result.std = {1, 1, 1};
  return result;
}

void crops_the_middle() {
  // 2 x 5 pixels that count up, of which columns 2 and 3 stay: (5 - 2) / 2 is rounded to even.
  std::vector<std::uint8_t> pixels(2 * 5 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<std::uint8_t>(i);
  }
  Preprocessing preprocessing = sides(2, 2);
  const auto rgb = adafuse::preprocess({pixels.data(), 2, 5}, preprocessing);
  CHECK((rgb.shape == adafuse::Shape{3, 2, 2}));
  CHECK((rgb.values == std::vector<float>{6, 9, 21, 24, 7, 10, 22, 25, 8, 11, 23, 26}));
  preprocessing.channel_order = "bgr";
  preprocessing.mean = {8, 7, 6};
  preprocessing.std = {1, 2, 4};
  const auto bgr = adafuse::preprocess({pixels.data(), 2, 5}, preprocessing);
  CHECK((bgr.values == std::vector<float>{0, 3, 15, 18, 0, 1.5, 7.5, 9, 0, 0.75, 3.75, 4.5}));
}

void keeps_one_colour_at_any_size() {
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 300}, {300, 7}, {64, 64}}) {
    const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * height * width), 201);
    const auto result = adafuse::preprocess({pixels.data(), height, width}, sides(36, 32));
    CHECK(result.values == std::vector<float>(3 * 32 * 32, 201.0f));
  }
}

void refuses_an_empty_frame() {
  try {
    adafuse::preprocess({nullptr, 0, 5}, sides(2, 2));
  } catch (const adafuse::InputError&) {
    return;
  }
  CHECK(!"an exception");
}

}  // namespace

int main() {
  crops_the_middle();
  keeps_one_colour_at_any_size();
  refuses_an_empty_frame();
}
