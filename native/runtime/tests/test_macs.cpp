// Multiply-accumulates of small policies, counted by hand.
#include "adafuse/macs.hpp"
#include "adafuse/prediction.hpp"
#include "tests/check.h"

using adafuse::ChannelGate;
using adafuse::Layer;
using adafuse::Tensor;

namespace {

constexpr std::uint8_t K = adafuse::kKeep, R = adafuse::kReuse, S = adafuse::kSkip;

using Counts = std::vector<std::int64_t>;
using Policies = std::vector<Tensor<std::uint8_t>>;

Tensor<std::uint8_t> policy(adafuse::Shape shape, std::vector<std::uint8_t> actions) {
  Tensor<std::uint8_t> result(std::move(shape));
  result.values = std::move(actions);
  return result;
}

std::vector<Layer> layers() {
  return {{"stem", 1000, {}, {}},
          {"conv1", 40, ChannelGate{0, 0, 4}, {}},    // 10 per output channel
          {"conv2", 400, {}, ChannelGate{0, 0, 4}}};  // 100 per input channel
}

// One clip of two frames: the first computes channels 0, 1 and, for the second, 3.
const Tensor<std::uint8_t> kClip = policy({1, 2, 4}, {K, K, S, S, R, S, K, R});

void counts_clips() {
  // Computed 3 + 1; read 2 + 3.
  CHECK(adafuse::clip_macs(layers(), {kClip}, 2) == Counts{2 * 1000 + 4 * 10 + 5 * 100});
  CHECK(adafuse::clip_macs({{"stem", 1000, {}, {}}}, {}, 8) == Counts{8000});
}

void streams_do_the_work_of_their_clip() {
  const Policies first{policy({1, 1, 4}, {K, K, S, S})}, second{policy({1, 1, 4}, {R, S, K, R})};
  const Policies beginning{policy({1, 1, 4}, {K, K, K, K})};
  const Counts one = adafuse::stream_macs(layers(), first, beginning);
  const Counts two = adafuse::stream_macs(layers(), second, first);
  CHECK(one == Counts{1000 + 2 * 10 + 2 * 100});
  CHECK(one[0] + two[0] == adafuse::clip_macs(layers(), {kClip}, 2)[0]);
}

}  // namespace

int main() {
  counts_clips();
  streams_do_the_work_of_their_clip();
}
