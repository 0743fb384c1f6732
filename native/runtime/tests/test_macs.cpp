// Multiply-accumulates that Python counts too.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "adafuse/macs.hpp"
#include "adafuse/prediction.hpp"
#include "tests/vectors.h"

using adafuse::ChannelGate;
using adafuse::Layer;
using adafuse::Tensor;
using nlohmann::json;

namespace {

using Policies = std::vector<Tensor<std::uint8_t>>;

std::optional<ChannelGate> to_gate(const json& layer, const char* side) {
  if (!layer.contains(side)) {
    return std::nullopt;
  }
  const json& gate = layer[side];
  return ChannelGate{gate["gate"], gate["start"], gate["stop"]};
}

// (clips, frames, channels) of nested lists, frames `first` to `stop` - 1.
Tensor<std::uint8_t> to_policy(const json& clips, std::size_t first, std::size_t stop) {
  Tensor<std::uint8_t> policy({static_cast<std::int64_t>(clips.size()),
                               static_cast<std::int64_t>(stop - first),
                               static_cast<std::int64_t>(clips[0][0].size())});
  policy.values.clear();
  for (const json& clip : clips) {
    for (std::size_t frame = first; frame < stop; ++frame) {
      for (const json& action : clip[frame]) {
        policy.values.push_back(action);
      }
    }
  }
  return policy;
}

}  // namespace

TEST_CASE("multiply-accumulates of clips and streams") {
  for (const json& entry : adafuse::read_cases("macs")) {
    std::vector<Layer> layers;
    for (const json& layer : entry["layers"]) {
      layers.push_back({layer["name"], layer.value("macs", std::int64_t{0}),
                        to_gate(layer, "output"), to_gate(layer, "input")});
    }
    const std::size_t frames = entry["policies"][0][0].size();
    const auto policies = [&](std::size_t first, std::size_t stop) {
      Policies result;
      for (const json& clips : entry["policies"]) {
        result.push_back(to_policy(clips, first, stop));
      }
      return result;
    };
    CAPTURE(frames);
    CHECK(json(adafuse::clip_macs(layers, policies(0, frames),
                                  static_cast<std::int64_t>(frames))) == entry["macs"]);
    Policies previous = policies(0, 1);
    for (auto& policy : previous) {
      std::fill(policy.values.begin(), policy.values.end(), adafuse::kKeep);
    }
    for (std::size_t t = 0; t < frames; ++t) {
      const Policies now = policies(t, t + 1);
      const auto macs = adafuse::stream_macs(layers, now, previous);
      for (std::size_t stream = 0; stream < macs.size(); ++stream) {
        CHECK(macs[stream] == entry["stream_macs"][stream][t].get<std::int64_t>());
      }
      previous = now;
    }
  }
}

TEST_CASE("multiply-accumulates of a dense network") {
  CHECK(adafuse::clip_macs({{"stem", 1000, {}, {}}}, {}, 8) == std::vector<std::int64_t>{8000});
}
