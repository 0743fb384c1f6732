#include "adafuse/preprocess.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

// Weights are integers in units of 2^-22, as Pillow has them: 8 bits of a pixel and 2 to spare.
constexpr int kPrecision = 32 - 8 - 2;

// For one output pixel: weights of the inputs from `first` on.
struct Taps {
  int first;
  std::vector<std::int32_t> weights;
};

// A triangle as wide as two input pixels, or two output pixels when shrinking.
Taps triangle(int in, int out, int position) {
  const double scale = static_cast<double>(in) / out;
  const double support = std::max(scale, 1.0);
  const double center = (position + 0.5) * scale;
  const int first = std::max(static_cast<int>(center - support + 0.5), 0);
  const int stop = std::min(static_cast<int>(center + support + 0.5), in);
  std::vector<double> weights;
  double sum = 0;
  for (int i = first; i < stop; ++i) {
    const double distance = std::abs((i - center + 0.5) * (1.0 / support));
    weights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
    sum += weights.back();
  }
  Taps taps{first, {}};
  for (double weight : weights) {
    if (sum != 0.0) {
      weight /= sum;
    }
    taps.weights.push_back(static_cast<std::int32_t>(0.5 + weight * (1 << kPrecision)));
  }
  return taps;
}

// The taps of the output pixels start...start + count - 1.  An axis that keeps its length copies.
std::vector<Taps> axis_taps(int in, int out, int start, int count) {
  std::vector<Taps> taps;
  for (int i = start; i < start + count; ++i) {
    taps.push_back(in == out ? Taps{i, {1 << kPrecision}} : triangle(in, out, i));
  }
  return taps;
}

// The weighted sum of pixels `stride` apart, rounded.
std::uint8_t blend(const std::uint8_t* pixels, std::size_t stride, const Taps& taps) {
  std::int32_t sum = 1 << (kPrecision - 1);
  for (std::size_t i = 0; i < taps.weights.size(); ++i) {
    sum += pixels[i * stride] * taps.weights[i];
  }
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

// The first pixel of a crop in the middle of a side; halves are rounded to the even number.
int crop_start(int side, int crop) {
  const int space = side - crop, half = space / 2;
  return half + (space % 2 != 0 && half % 2 != 0);
}

int scaled_side(int resize, int side, int other) {
  return static_cast<int>(std::max<std::int64_t>(resize, std::int64_t{resize} * side / other));
}

// Resized and cropped pixels (crop, crop, 3); only what the crop shows is computed.
std::vector<std::uint8_t> resize_and_crop(const Frame& frame, int resize, int crop) {
  const int height = scaled_side(resize, frame.height, frame.width);
  const int width = scaled_side(resize, frame.width, frame.height);
  const auto rows = axis_taps(frame.height, height, crop_start(height, crop), crop);
  const auto columns = axis_taps(frame.width, width, crop_start(width, crop), crop);

  // First along the rows, then along the columns, rounding in between.
  const int top = rows.front().first;
  const int bottom = rows.back().first + static_cast<int>(rows.back().weights.size());
  const std::size_t line = std::size_t{3} * static_cast<std::size_t>(crop);
  std::vector<std::uint8_t> narrow(static_cast<std::size_t>(bottom - top) * line);
  std::uint8_t* target = narrow.data();
  for (int y = top; y < bottom; ++y) {
    const std::uint8_t* source =
        frame.pixels + static_cast<std::size_t>(y) * static_cast<std::size_t>(frame.width) * 3;
    for (const Taps& taps : columns) {
      for (int channel = 0; channel < 3; ++channel) {
        *target++ = blend(source + 3 * taps.first + channel, 3, taps);
      }
    }
  }
  std::vector<std::uint8_t> result;
  result.reserve(static_cast<std::size_t>(crop) * line);
  for (const Taps& taps : rows) {
    const std::uint8_t* source = narrow.data() + static_cast<std::size_t>(taps.first - top) * line;
    for (std::size_t x = 0; x < line; ++x) {
      result.push_back(blend(source + x, line, taps));
    }
  }
  return result;
}

}  // namespace

Tensor<float> preprocess(const Frame& frame, const Preprocessing& preprocessing) {
  if (frame.height < 1 || frame.width < 1) {
    throw InputError("A frame has at least one pixel, not " + std::to_string(frame.height) + " x " +
                     std::to_string(frame.width) + ".");
  }
  const int crop = preprocessing.crop;
  const auto pixels = resize_and_crop(frame, preprocessing.resize, crop);
  Tensor<float> result({3, crop, crop});
  const std::size_t area = pixels.size() / 3;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::size_t source = preprocessing.channel_order == "bgr" ? 2 - channel : channel;
    float* plane = result.values.data() + channel * area;
    for (std::size_t i = 0; i < area; ++i) {
      const float value = static_cast<float>(pixels[3 * i + source]) * preprocessing.scale;
      plane[i] = (value - preprocessing.mean[channel]) / preprocessing.std[channel];
    }
  }
  return result;
}

}  // namespace adafuse
