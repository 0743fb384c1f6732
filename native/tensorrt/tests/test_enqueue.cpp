// Launches of plugins, recorded by a stand-in for the driver: Python's launches, with addresses.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tensorrt/block_plugin.h"
#include "tensorrt/block_tensors.h"
#include "tensorrt/report.h"
#include "tensorrt/tests/block_cases.h"
#include "tensorrt/tests/block_engine.h"
#include "tensorrt/tests/kept_log.h"
#include "tensorrt/tests/stand_in_driver.h"

namespace {

using namespace adafuse::plugin;
using nlohmann::json;
using nvinfer1::DataType;
using nvinfer1::PluginTensorDesc;

constexpr std::uint64_t kStep = 1 << 20;  // between addresses, which nothing reads
constexpr std::uint64_t kWorkspace = std::uint64_t{1} << 40;

const Kernel& kernel_of(const StandIn::Function& function) {
  for (const Kernel& kernel : kernel_table()) {
    for (const Cubin& cubin : kernel.cubins) {
      if (cubin.image == function.image && function.symbol == cubin.symbol) {
        return kernel;
      }
    }
  }
  throw std::logic_error("the stand-in was given a foreign image");
}

StandIn& stand_in() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  REQUIRE(library != nullptr);
  const auto find = reinterpret_cast<StandIn* (*)()>(dlsym(library, "stand_in"));
  REQUIRE(find != nullptr);  // a driver in its place would compute with made-up addresses
  StandIn& driver = *find();
  driver.arguments_of = [](const StandIn::Function& function) {
    return kernel_of(function).parameters.size();
  };
  driver.launches.clear();
  driver.failing.clear();
  return driver;
}

const void* address(Tensor tensor) {
  return reinterpret_cast<const void*>(kStep * (1 + static_cast<std::uint64_t>(tensor)));
}

// Runs an engine with made-up addresses, all of them `off` bytes further.
std::int32_t run(Engine& engine, std::int64_t rows, std::uint64_t off = 0) {
  const auto at = [&](Tensor tensor) {
    return const_cast<char*>(static_cast<const char*>(address(tensor)) + off);
  };
  return engine.run(rows, at, reinterpret_cast<void*>(kWorkspace),
                    reinterpret_cast<cudaStream_t>(std::uintptr_t{0x55}));
}

// The tensor of Python's name; other names are parts of the workspace.
Tensor tensor_named(const std::string& name) {
  const auto known = named_tensors().find(name);
  return known == named_tensors().end() ? Tensor::workspace : known->second;
}

void check_launch(const StandIn::Launched& got, const json& wanted, const Engine& engine,
                  std::uint64_t workspace_bytes) {
  const Kernel& kernel = kernel_of(*got.function);
  CHECK(kernel.name == wanted.at("kernel").get<std::string>());
  CHECK(got.threads == wanted.at("threads").get<unsigned>());
  CHECK(got.stream == reinterpret_cast<CUstream>(std::uintptr_t{0x55}));
  for (std::size_t axis = 0; axis < 3; ++axis) {
    CHECK(got.grid[axis] == wanted.at("grid")[axis].get<unsigned>());
  }
  const auto cubin = std::find_if(kernel.cubins.begin(), kernel.cubins.end(),
                                  [&](const Cubin& c) { return c.image == got.function->image; });
  CHECK(cubin->target == 87);
  CHECK(got.shared_bytes == cubin->shared_bytes);
  CHECK(static_cast<unsigned>(got.function->shared_bytes) ==
        (cubin->shared_bytes > 48 << 10 ? cubin->shared_bytes : 0));
  for (std::size_t i = 0; i < kernel.parameters.size(); ++i) {
    const Parameter& parameter = kernel.parameters[i];
    CAPTURE(parameter.name);
    const json& arguments = wanted.at("arguments");
    if (!arguments.contains(parameter.name)) {  // Triton's own
      CHECK(got.arguments[i] == 0);
      continue;
    }
    const json& argument = arguments.at(parameter.name);
    if (!parameter.is_address) {
      const json number = argument.is_string() ? json(1.0) : argument;
      CHECK(static_cast<std::uint32_t>(got.arguments[i]) ==
            static_cast<std::uint32_t>(bits_of(number)));
      continue;
    }
    const std::string name = argument;
    const Tensor tensor = tensor_named(name);
    const bool unread = name.find("scale") != std::string::npos ||
                        (tensor == Tensor::shortcut && !engine.block.project);
    if (unread) {
      CHECK(got.arguments[i] == 0);
    } else if (tensor == Tensor::workspace || (tensor == Tensor::x_sums && !engine.block.summed)) {
      CHECK((got.arguments[i] >= kWorkspace && got.arguments[i] < kWorkspace + workspace_bytes));
    } else {
      CHECK(got.arguments[i] == reinterpret_cast<std::uint64_t>(address(tensor)));
    }
  }
}

}  // namespace

TEST_CASE("launches that reach the driver are those that Python plans") {
  KeptLog logger;
  use_logger(&logger);
  StandIn& driver = stand_in();
  for (const json& c : adafuse::read_cases("block_plans")) {
    CAPTURE(c.at("block").dump());
    Engine engine(planned_block(c));
    engine.shape(adafuse::plugin::rows_of(c));
    REQUIRE(engine.change() == 0);
    const int modules = driver.modules;
    driver.launches.clear();
    REQUIRE(run(engine, adafuse::plugin::rows_of(c)) == 0);
    CHECK(driver.modules == modules);  // all were loaded before
    REQUIRE(driver.launches.size() == c.at("launches").size());
    for (std::size_t i = 0; i < driver.launches.size(); ++i) {
      check_launch(driver.launches[i], c.at("launches")[i], engine, c.at("workspace"));
    }
  }
  CHECK(logger.words == "");
  use_logger(nullptr);
}

TEST_CASE("enqueue goes by its descriptors") {
  StandIn& driver = stand_in();
  Block block;
  block.frames = 2;
  block.height = block.width = 14;
  block.channels_in = block.channels_out = 1024;
  block.channels = 256;
  Engine engine(block);
  engine.shape(2);
  REQUIRE(engine.change() == 0);
  engine.shape(6);  // nobody said so
  REQUIRE(run(engine, 6) == 0);
  CHECK(driver.launches.front().grid[0] == 3);  // lists of two frames a program
  driver.launches.clear();
  const std::unique_ptr<nvinfer1::IPluginV3> copy(engine.plugin->attachToContext(nullptr));
  auto* const runtime = static_cast<nvinfer1::IPluginV3OneRuntime*>(
      copy->getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
  REQUIRE(runtime->onShapeChange(engine.in.data(), static_cast<std::int32_t>(engine.in.size()),
                                 engine.out.data(), 2) == 0);
}

TEST_CASE("what fails is said") {
  KeptLog logger;
  use_logger(&logger);
  StandIn& driver = stand_in();
  Block block;
  block.height = block.width = 7;
  block.channels_in = block.channels_out = 2048;
  block.channels = 512;
  block.half = false;
  Engine engine(block);
  const auto said = [&](const char* words) {
    INFO(logger.words);
    CHECK(logger.words.find(words) != std::string::npos);
    logger.words.clear();
  };
  engine.shape(4);
  REQUIRE(engine.change() == 0);
  REQUIRE(logger.words == "");
  CHECK(run(engine, 4, 8) != 0);
  said("does not begin at a multiple of 16 bytes");
  driver.failing = "cuLaunchKernel";
  CHECK(run(engine, 4) != 0);
  said("cuLaunchKernel: the stand-in was told to fail (CUDA error 1)");
  driver.failing.clear();
  engine.in[1].dims.d[1] += 1;
  CHECK(engine.change() != 0);
  said("takes 513 x 2048 numbers as input 1, not 513 x 2049");
  engine.shape(0);
  CHECK(engine.change() != 0);
  said("whole clips");
  // In a context that has no kernels yet.
  driver.context = 1;
  engine.shape(4);
  driver.capability = 75;
  CHECK(engine.change() != 0);
  said("no kernels for compute capability 7.5; build it with that in ADAFUSE_CUBIN_TARGETS");
  driver.capability = 87;
  driver.failing = "cuModuleLoadData";
  CHECK(engine.change() != 0);
  said("cuModuleLoadData: the stand-in was told to fail");
  driver.failing.clear();
  CHECK(engine.change() == 0);
  driver.context = 0;
  use_logger(nullptr);
}
