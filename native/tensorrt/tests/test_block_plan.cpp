// Plans are Python's, launch by launch and argument by argument.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "tensorrt/block_plan.h"
#include "tensorrt/block_sums.h"
#include "tensorrt/modules.h"
#include "tensorrt/tests/block_cases.h"

namespace {

using namespace adafuse::plugin;
using nlohmann::json;

// Names of tensors that INT8 alone reads.
const std::set<std::string> kUnread{"scale1",      "scale2",      "scale3",
                                    "gate_scale0", "gate_scale1", "shortcut_scale"};

void check_argument(const Parameter& parameter, const Argument& got, const json& wanted,
                    const Block& block, std::map<std::string, std::int64_t>& places) {
  CAPTURE(parameter.name);
  if (wanted.is_number() || wanted == "residual_scale") {
    CHECK(got.tensor == Tensor::none);
    CHECK(got.value == bits_of(wanted.is_number() ? wanted : json(1.0)));
    CHECK(parameter.is_real == (wanted.is_number_float() || wanted.is_string()));
    return;
  }
  CHECK(parameter.is_address);
  const std::string name = wanted;
  const bool absent = kUnread.count(name) != 0 || (name == "shortcut" && !block.project);
  const auto known = named_tensors().find(name);
  if (absent) {
    CHECK((got.tensor == Tensor::none && got.value == 0));
  } else if (known != named_tensors().end() && (name != "x_sums" || block.summed)) {
    CHECK((got.tensor == known->second && got.value == 0));
  } else {  // every name has one place in the workspace
    CHECK(got.tensor == Tensor::workspace);
    CHECK(places.emplace(name, got.value).first->second == got.value);
  }
}

void check(const json& c) {
  const Block block = planned_block(c);
  const std::int64_t rows = rows_of(c);
  const LaunchPlan plan = make_plan(block, rows);
  CHECK(plan.workspace_bytes == c.at("workspace").get<std::size_t>());
  REQUIRE(plan.launches.size() == c.at("launches").size());
  std::map<std::string, std::int64_t> places;
  for (std::size_t i = 0; i < plan.launches.size(); ++i) {
    const Launch& launch = plan.launches[i];
    const json& wanted = c.at("launches")[i];
    CHECK(launch.kernel->name == wanted.at("kernel").get<std::string>());
    CHECK(launch.kernel->threads == wanted.at("threads").get<unsigned>());
    for (std::size_t axis = 0; axis < 3; ++axis) {
      CHECK(launch.grid[axis] == wanted.at("grid")[axis].get<unsigned>());
    }
    REQUIRE(launch.arguments.size() == launch.kernel->parameters.size());
    std::size_t scratch = 0;
    for (std::size_t a = 0; a < launch.arguments.size(); ++a) {
      const Parameter& parameter = launch.kernel->parameters[a];
      if (std::strstr(parameter.name, "_scratch") != nullptr) {
        CHECK((launch.arguments[a].tensor == Tensor::none && launch.arguments[a].value == 0));
        ++scratch;
        continue;
      }
      check_argument(parameter, launch.arguments[a], wanted.at("arguments").at(parameter.name),
                     block, places);
    }
    CHECK(launch.arguments.size() == wanted.at("arguments").size() + scratch);
  }
  std::set<std::int64_t> begins;
  for (const auto& [name, place] : places) {
    CHECK(place % 256 == 0);
    CHECK(begins.insert(place).second);  // no two names share one
    CHECK(place < static_cast<std::int64_t>(plan.workspace_bytes));
  }
  const json& left = c.at("sums");
  const Sums sums = sums_of_block(output_of(block), rows, block.half);
  CHECK(sums.pixels == left.at("pixels").get<std::int64_t>());
  CHECK(sums.tile_pixels == left.at("tile_pixels").get<std::int64_t>());
  CHECK(sums.segments == left.at("segments").get<std::int64_t>());
  CHECK(room_for_sums(output_of(block)).rows(rows) >= sums.rows(rows));
}

std::string refusal(const Block& block, std::int64_t rows) {
  try {
    make_plan(block, rows);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("plans of residual blocks are those of Python") {
  for (const json& c : adafuse::read_cases("block_plans")) {
    CAPTURE(c.at("block").dump());
    check(c);
  }
}

TEST_CASE("there is room for the sums of every batch") {
  Block block;
  block.channels_in = block.channels = 64;
  block.channels_out = 256;
  for (const bool half : {false, true}) {
    for (const bool bottleneck : {false, true}) {
      for (const std::int64_t size : {3, 7, 8, 14, 15, 28, 56}) {
        for (std::int64_t rows = 1; rows < 200; ++rows) {
          const Frames y{size, size, bottleneck ? 256 : 64, !bottleneck};
          const Sums sums = sums_of_block(y, rows, half);
          CHECK(room_for_sums(y).rows(rows) >= sums.rows(rows));
        }
      }
    }
  }
}

TEST_CASE("what the compiled kernels do not do is refused") {
  Block block;
  block.frames = 8;
  block.height = block.width = 14;
  block.channels_in = block.channels_out = 1024;
  block.channels = 256;
  block.forward = 128;
  block.backward = 256;
  REQUIRE(refusal(block, 8) == "");
  const auto changed = [&](auto change) {
    Block other = block;
    change(other);
    return refusal(other, 8);
  };
  const auto has = [](const std::string& text, const char* words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
  };
  has(refusal(block, 9), "whole clips of 8 frames, not 9");
  has(refusal(block, 0), "whole clips");
  has(refusal(block, 80000), "at most 65535 frames");
  has(changed([](Block& b) { b.channels = 1024; }), "less than 1024 channels");
  has(changed([](Block& b) { b.channels = 1000; }), "without the kernel");
  has(changed([](Block& b) { b.channels = 208; }), "fill its kernels' tiles");
  has(changed([](Block& b) { b.channels_in = 1000; }), "fill its kernels' tiles");
  has(changed([](Block& b) { b.channels_out = 1056; }), "fill its kernels' tiles");
  has(changed([](Block& b) { b.forward = 100; }), "in eights");
  has(changed([](Block& b) { b.height = b.width = 1 << 14; }), "32-bit distances");
  has(changed([](Block& b) { b.height = b.width = 2; }), "at least nine pixels");
  block.hidden = 72;
  has(refusal(block, 8), "hidden is no multiple of 16");
}

TEST_CASE("kernels for a GPU") {
  Kernel kernel{};
  kernel.cubins = {{80, "a", 0, nullptr}, {87, "b", 0, nullptr}, {90, "c", 0, nullptr}};
  CHECK(choose_cubin(kernel, 80)->target == 80);
  CHECK(choose_cubin(kernel, 86)->target == 80);
  CHECK(choose_cubin(kernel, 87)->target == 87);
  CHECK(choose_cubin(kernel, 90)->target == 90);
  CHECK(choose_cubin(kernel, 100) == nullptr);
  CHECK(choose_cubin(kernel, 75) == nullptr);
  for (const Kernel& embedded : kernel_table()) {
    CHECK(!embedded.cubins.empty());
    for (const Cubin& cubin : embedded.cubins) {
      CHECK(std::memcmp(cubin.image,
                        "\x7f"
                        "ELF",
                        4) == 0);
    }
  }
}
