// Plans keep what the kernels were compiled to rely on, over many shapes and all layouts.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "tensorrt/launch_plan.h"
#include "tensorrt/modules.h"

namespace {

using namespace adafuse::plugin;

std::map<std::string, Argument> by_name(const Launch& launch) {
  std::map<std::string, Argument> result;
  CHECK(launch.arguments.size() == launch.kernel->parameters.size());
  for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
    result[launch.kernel->parameters[i].name] = launch.arguments[i];
  }
  return result;
}

bool begins(const char* text, const char* with) {
  return std::strncmp(text, with, std::strlen(with)) == 0;
}

void check(const ConvProblem& p) {
  const LaunchPlan plan = make_plan(p);
  CHECK(plan.workspace_bytes % 256 == 0);
  CHECK(plan.launches.size() ==
        std::size_t(1 + (p.packed ? 0 : 1) + (p.gated ? 1 : 0) + (p.skipping ? 1 : 0)));
  for (const Launch& launch : plan.launches) {
    for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
      const Parameter& parameter = launch.kernel->parameters[i];
      const Argument& argument = launch.arguments[i];
      CHECK((parameter.is_address || argument.tensor == Tensor::none));
      if (parameter.multiple_of_16) {
        CHECK(argument.value % 16 == 0);
      }
      if (argument.tensor == Tensor::workspace) {
        CHECK(argument.value % 256 == 0);
        CHECK(argument.value < std::int64_t(plan.workspace_bytes));
      }
    }
  }
  const Launch& last = plan.launches.back();
  CHECK(begins(last.kernel->name, "conditional_conv_"));
  const auto conv = by_name(last);
  CHECK(last.grid[0] * last.kernel->block_n >= p.channels_out);
  CHECK((last.grid[0] - 1) * last.kernel->block_n < p.channels_out);
  CHECK(last.grid[1] * last.kernel->block_m >= p.height_out() * p.width_out());
  CHECK(last.grid[2] == p.rows());
  CHECK((conv.at("y").tensor == Tensor::y && conv.at("y").value == 0));
  CHECK((conv.at("policy").tensor == Tensor::policy) == p.gated);
  CHECK((conv.at("outputs").tensor == Tensor::workspace) == p.gated);
  CHECK((conv.at("inputs").tensor == Tensor::workspace) == p.skipping);
  CHECK((conv.at("x").tensor == Tensor::workspace) == p.skipping);
  CHECK((conv.at("weight").tensor == Tensor::weight) == p.packed);
  CHECK(conv.at("y_frame").value >= p.channels_out * p.height_out() * p.width_out());
  CHECK(conv.at("y_stride").value >=
        (p.layout == Layout::nhwc ? p.channels_out : p.height_out() * p.width_out()));
  // Parts of the workspace do not overlap: each begins behind those before it.
  const auto next = [&](std::int64_t from) {
    std::int64_t end = std::int64_t(plan.workspace_bytes);
    for (const Launch& launch : plan.launches) {
      for (const Argument& argument : launch.arguments) {
        if (argument.tensor == Tensor::workspace && argument.value > from) {
          end = std::min(end, argument.value);
        }
      }
    }
    return end;
  };
  if (p.gated) {
    const std::int64_t at = conv.at("outputs").value;
    CHECK(next(at) - at >= p.rows() * (p.channels_out + 1) * 4);
  }
  if (p.skipping) {
    const std::int64_t list = conv.at("inputs").value, values = conv.at("x").value;
    CHECK(next(list) - list >= p.rows() * (p.channels_in + 1) * 4);
    CHECK(next(values) - values >= p.rows() * conv.at("x_frame").value * (p.half ? 2 : 4));
  }
}

void check_tiles() {
  ConvProblem p;
  p.half = p.gated = p.packed = true;
  p.layout = Layout::nhwc;
  p.frames = 8;
  p.channels_in = p.channels_out = 64;
  p.kernel_h = p.kernel_w = 1;
  const auto tile_is = [&](std::int64_t clips, std::int64_t size, const char* name) {
    p.clips = clips;
    p.height = p.width = size;
    return std::strstr(make_plan(p).launches.back().kernel->name, name) != nullptr;
  };
  CHECK(tile_is(1, 56, "nhwc16_wide"));     // 8 columns of 25 tiles
  CHECK(tile_is(1, 28, "nhwc16_narrow"));   // of 13
  CHECK(tile_is(2, 28, "nhwc16_square"));   // 16 of 13
  CHECK(tile_is(16, 14, "nhwc16_square"));  // too few pixels for wide ones
  p.channels_out = 60;
  CHECK(tile_is(1, 56, "nhwc_square"));
}

void check_cubins() {
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

}  // namespace

TEST_CASE("launch plans") {
  for (const bool half : {false, true}) {
    for (const Layout layout : {Layout::nchw, Layout::nhwc}) {
      for (const bool packed : {false, true}) {
        for (int kind = 0; kind < 3; ++kind) {
          for (const std::int64_t channels : {1, 7, 16, 64, 72, 256}) {
            for (const std::int64_t size : {1, 7, 15, 56}) {
              ConvProblem p;
              p.half = half;
              p.layout = layout;
              p.packed = packed;
              p.gated = kind != 1;
              p.skipping = kind != 0;
              p.clips = 3;
              p.frames = size == 7 ? 1 : 8;
              p.channels_in = channels;
              p.channels_out = 320 - channels;
              p.height = size;
              p.width = size + 1;
              p.kernel_h = p.kernel_w = 3;
              p.stride_h = 2;
              p.pads = {1, 1, 1, 1};
              check(p);
            }
          }
        }
      }
    }
  }
  check_tiles();
  check_cubins();
}
