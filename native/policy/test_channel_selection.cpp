// The rules of the actions, spelt out for one small policy, and the refusal of unknown actions.
#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "policy/channel_selection.h"

using adafuse::ChannelList;
using adafuse::ChannelLists;
using adafuse::Policy;

namespace {

constexpr std::int32_t K = 0, R = 1, S = 2;

bool equal(ChannelList list, const std::vector<std::uint32_t>& expected) {
  return std::vector<std::uint32_t>(list.begin(), list.end()) == expected;
}

void selects_channels_clip_by_clip() {
  // Two clips of three frames with four channels.
  const std::vector<std::int32_t> actions{
      K, R, S, K,  //
      R, R, S, K,  //
      S, K, R, R,  //
      S, S, K, R,  // the second clip's first frame: nothing of the first clip is reused
      K, R, R, R,  //
      R, S, K, S,
  };
  const Policy policy("policy", actions.data(), 2, 3, 4);

  const ChannelLists computed = ChannelLists::computed(6, 4, &policy);
  CHECK(equal(computed[0], {0, 1, 3}));
  CHECK(equal(computed[1], {2, 3}));
  CHECK(equal(computed[2], {1}));
  CHECK(equal(computed[3], {1, 2, 3}));
  CHECK(equal(computed[4], {0}));
  CHECK(equal(computed[5], {2}));

  const ChannelLists read = ChannelLists::read(6, 4, &policy);
  CHECK(equal(read[0], {0, 3}));
  CHECK(equal(read[1], {0, 1, 3}));
  CHECK(equal(read[2], {1, 2, 3}));
  CHECK(equal(read[3], {2}));
  CHECK(equal(read[4], {0, 1, 2, 3}));
  CHECK(equal(read[5], {0, 2}));
}

void selects_everything_without_a_policy() {
  CHECK(equal(ChannelLists::computed(2, 3, nullptr)[1], {0, 1, 2}));
  CHECK(equal(ChannelLists::read(2, 3, nullptr)[1], {0, 1, 2}));
}

void refuses_unknown_actions() {
  const std::vector<std::int32_t> actions{K, R, S, 3};
  try {
    Policy("policy", actions.data(), 1, 2, 2);
  } catch (const std::invalid_argument& error) {
    const std::string message = error.what();
    CHECK(message.find("policy holds 3 for clip 0, frame 1, channel 1") == 0);
    return;
  }
  CHECK(!"an exception");
}

}  // namespace

TEST_CASE("channel lists") {
  selects_channels_clip_by_clip();
  selects_everything_without_a_policy();
  refuses_unknown_actions();
}
