#include "operators/feature_map.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "tests/close.h"
#include "tests/parallel.h"
#include "tests/reference.h"

namespace adafuse {
namespace {

// Fails unless values are equal but for rounding: in kInt8 to the nearest integer, up to ties.
void check_close(double got, double expected, Precision precision) {
  const double relative = precision == Precision::kFloat32 ? 2e-5 : 1e-2;
  CHECK_CLOSE(got, expected,
              (precision == Precision::kInt8 ? 0.501 : relative * (1 + std::abs(expected))));
}

}  // namespace

void FeatureMap::decide(std::mt19937& random, const VideoSize& size, int action) {
  std::uniform_int_distribution<std::int32_t> any(0, 2);
  actions.resize(size.rows() * channels);
  for (std::int32_t& chosen : actions) {
    chosen = action < 0 ? any(random) : action;
  }
}

std::vector<Policy> FeatureMap::policy(const VideoSize& size) const {
  if (actions.empty()) {
    return {};
  }
  return {Policy("policy", actions.data(), size.clips, size.frames, channels)};
}

std::vector<double> FeatureMap::fused(const VideoSize& size) const {
  return actions.empty()
             ? raw
             : reference::fuse(raw, actions, size.clips, size.frames, channels, size.plane());
}

CompactNhwc FeatureMap::order(const VideoSize& size, std::size_t border,
                              Precision precision) const {
  CompactNhwc frames;
  const std::vector<Policy> view = policy(size);
  frames.assign(pointer(view), size.rows(), channels, {size.height, size.width, border, 0});
  CompactNhwc::order({&frames}, precision, serial);
  return frames;
}

std::size_t FeatureMap::bytes(const VideoSize& size, std::size_t border,
                              Precision precision) const {
  const NhwcLayout layout{size.height, size.width, border, channel_pitch(channels, precision)};
  return size.rows() * layout.frame_pitch();
}

void FeatureMap::store(const VideoSize& size, std::size_t border, Precision precision,
                       char* memory) const {
  std::memset(memory, 0xff, bytes(size, border, precision));
  const CompactNhwc frames = order(size, border, precision);
  const NhwcLayout& layout = frames.layout();
  for (std::size_t row = 0; row < size.rows(); ++row) {
    char* const frame = memory + frames.offset(row);
    layout.clear_border(frame, 0, size.height);
    const ChannelOrder& stored = frames[row];
    for (std::size_t i = 0; i < size.plane(); ++i) {
      char* const pixel =
          frame + layout.offset(std::ptrdiff_t(i / size.width), std::ptrdiff_t(i % size.width));
      for (std::size_t place = 0; place < round_up(stored.size(), kr(precision)); ++place) {
        const double value =
            place < stored.size() ? raw[(row * channels + stored[place]) * size.plane() + i] : 0;
        encode(precision, static_cast<float>(value), pixel, place);
      }
    }
  }
}

void FeatureMap::check(const VideoSize& size, std::size_t border, Precision precision,
                       const char* memory, const std::vector<float>& pooled, float scale) const {
  const CompactNhwc frames = order(size, border, precision);
  const NhwcLayout& layout = frames.layout();
  const std::size_t plane = size.plane();
  for (std::size_t row = 0; row < size.rows(); ++row) {
    const ChannelOrder& stored = frames[row];
    const char* const frame = memory + frames.offset(row);
    for (std::size_t place = 0; place < stored.size(); ++place) {
      for (std::size_t i = 0; i < plane; ++i) {
        const std::size_t at =
            layout.offset(std::ptrdiff_t(i / size.width), std::ptrdiff_t(i % size.width));
        check_close(decode(precision, frame + at, place),
                    raw[(row * channels + stored[place]) * plane + i], precision);
      }
    }
    for (std::size_t edge = 0; edge < border * layout.row_pitch(); ++edge) {
      CHECK_CLOSE(frame[edge], 0, 0);
      CHECK_CLOSE(frame[layout.frame_pitch() - 1 - edge], 0, 0);
    }
  }
  const std::vector<double> seen = fused(size);
  REQUIRE(pooled.size() * plane == seen.size());
  for (std::size_t i = 0; i < pooled.size(); ++i) {
    double total = 0;
    for (std::size_t p = 0; p < plane; ++p) {
      total += seen[i * plane + p];
    }
    check_close(pooled[i] / scale, total / double(plane), precision);
  }
}

const Policy* pointer(const std::vector<Policy>& policy) {
  return policy.empty() ? nullptr : policy.data();
}

std::size_t between(std::mt19937& random, std::size_t least, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(least, most)(random);
}

std::vector<float> draw(std::mt19937& random, std::size_t count, float scale, bool positive) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) {
    char stored[sizeof(float)];
    const float number = scale * normal(random);
    encode(Precision::kBFloat16, positive ? std::abs(number) : number, stored, 0);
    value = decode(Precision::kBFloat16, stored, 0);
  }
  return values;
}

std::vector<float> draw_integers(std::mt19937& random, std::size_t count, int least, int most) {
  std::uniform_int_distribution<int> integer(least, most);
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(integer(random));
  }
  return values;
}

std::vector<float> draw_stored(std::mt19937& random, std::size_t count, Precision precision) {
  return precision == Precision::kInt8 ? draw_integers(random, count, 0, 255)
                                       : draw(random, count, 1, true);
}

}  // namespace adafuse
