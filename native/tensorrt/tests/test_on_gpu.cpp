// Blocks of small whole numbers (tests/vectors/block_values.json): inputs are made everywhere,
// results are compared where there is a GPU.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_driver/driver.h"
#include "tensorrt/block_plan.h"
#include "tensorrt/tests/block_cases.h"
#include "tensorrt/tests/block_engine.h"
#include "tests/vectors.h"

namespace {

using namespace adafuse::plugin;
using nlohmann::json;
using Values = std::vector<std::int64_t>;

constexpr int kSkipped = 77;  // as CMakeLists.txt says
CUstream stream = nullptr;    // where there is a GPU

// The formula of tests/ops/triton/block/block_values.py.
Values pattern(std::size_t count, std::uint64_t salt, bool ternary) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t mixed = ((i * 2654435761u + salt * 40503) % (std::uint64_t{1} << 32)) >> 16;
    const std::uint64_t rest = mixed % 7;
    values[i] = !ternary ? static_cast<std::int64_t>(mixed % 3) : rest == 0 ? -1 : rest == 1;
  }
  return values;
}

std::uint32_t checksum(const Values& values) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<std::uint64_t>(values[i]) * (i + 1);
  }
  return static_cast<std::uint32_t>(sum);
}

// The place in frames of every number of maps (rows, H, W, C).
std::vector<std::size_t> places(const Frames& layout, std::int64_t rows) {
  std::vector<std::size_t> result;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t h = 0; h < layout.height; ++h) {
      for (std::int64_t w = 0; w < layout.width; ++w) {
        const std::int64_t pixel = layout.first() + h * layout.pitch() + w;
        for (std::int64_t c = 0; c < layout.distance; ++c) {
          result.push_back(
              static_cast<std::size_t>(row * layout.size() + pixel * layout.distance + c));
        }
      }
    }
  }
  return result;
}

// The values of an input; of frames those of maps (rows, H, W, C).
Values make_input(const Block& block, const TensorSpec& spec, std::uint64_t salt) {
  std::size_t count = 1;
  for (const std::int64_t size : spec.dims) {
    count *= static_cast<std::size_t>(size);
  }
  if (spec.tensor == Tensor::x) {
    count = static_cast<std::size_t>(spec.dims[0] * input_of(block).pixels() * block.channels_in);
  }
  const bool small = spec.tensor == Tensor::x || spec.tensor == Tensor::policy;
  Values values = pattern(count, salt, !small);
  const bool listed = spec.tensor == Tensor::weight1 || spec.tensor == Tensor::bias1;
  if (listed || spec.tensor == Tensor::weight2) {  // the row of padding is zero
    const std::size_t channels = static_cast<std::size_t>(block.channels) + 1;
    const std::size_t outer = listed ? 1 : 9, inner = count / channels / outer;
    for (std::size_t tap = 0; tap < outer; ++tap) {
      const std::size_t row = (tap * channels + channels - 1) * inner;
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(row), inner, 0);
    }
  }
  return values;
}

std::string name_of(Tensor tensor) {
  for (const auto& [name, named] : named_tensors()) {
    if (named == tensor) {
      return name;
    }
  }
  throw std::logic_error("a tensor has no name");
}

// The bits of a whole number below 2048 in float16, and back.
std::uint16_t to_half(std::int64_t value) {
  if (value == 0) {
    return 0;
  }
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(static_cast<double>(value)), &exponent);
  const auto mantissa = static_cast<std::uint16_t>(std::lround((2 * fraction - 1) * 1024));
  return static_cast<std::uint16_t>((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | mantissa);
}
double from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double value = exponent == 0 ? std::ldexp((bits & 1023) / 1024.0, -14)
                                     : std::ldexp(1 + (bits & 1023) / 1024.0, exponent - 15);
  return bits & 0x8000 ? -value : value;
}

class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes) {
    ADAFUSE_CUDA(cuMemAlloc, &address_, std::max<std::size_t>(bytes, 256));
    write(std::vector<unsigned char>(bytes, 0xff));  // NaN, and no action
  }
  ~Memory() { adafuse::cuda::driver().cuMemFree_(address_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* get() const { return reinterpret_cast<void*>(address_); }
  void write(const std::vector<unsigned char>& bytes) const {
    ADAFUSE_CUDA(cuMemcpyHtoDAsync, address_, bytes.data(), bytes.size(), stream);
    ADAFUSE_CUDA(cuStreamSynchronize, stream);
  }
  std::vector<unsigned char> read() const {
    std::vector<unsigned char> bytes(bytes_);
    ADAFUSE_CUDA(cuMemcpyDtoHAsync, bytes.data(), address_, bytes_, stream);
    ADAFUSE_CUDA(cuStreamSynchronize, stream);
    return bytes;
  }

 private:
  std::size_t bytes_;
  CUdeviceptr address_ = 0;
};

std::size_t size_of(const TensorSpec& spec, bool half) {
  std::size_t bytes = spec.element == Element::stored && half ? 2 : 4;
  for (const std::int64_t size : spec.dims) {
    bytes *= static_cast<std::size_t>(size);
  }
  return bytes;
}

std::vector<unsigned char> encode(const Values& values, Element element, bool half) {
  const bool narrow = element == Element::stored && half;
  std::vector<unsigned char> bytes(values.size() * (narrow ? 2 : 4));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto single = static_cast<float>(values[i]);
    const auto integer = static_cast<std::int32_t>(values[i]);
    const std::uint16_t bits = narrow ? to_half(values[i]) : std::uint16_t{0};
    const void* from = narrow                      ? static_cast<const void*>(&bits)
                       : element == Element::int32 ? static_cast<const void*>(&integer)
                                                   : &single;
    std::memcpy(&bytes[i * (narrow ? 2 : 4)], from, narrow ? 2 : 4);
  }
  return bytes;
}

// The whole numbers of a tensor; -12345, which no result has, for any other number.
Values decode(const std::vector<unsigned char>& bytes, Element element, bool half) {
  const bool narrow = element == Element::stored && half;
  Values values;
  for (std::size_t i = 0; i < bytes.size(); i += narrow ? 2 : 4) {
    double value = 0;
    if (narrow) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, &bytes[i], 2);
      value = (bits & 0x7c00) == 0x7c00 ? NAN : from_half(bits);
    } else if (element == Element::int32) {
      std::int32_t integer = 0;
      std::memcpy(&integer, &bytes[i], 4);
      value = integer;
    } else {
      float single = 0;
      std::memcpy(&single, &bytes[i], 4);
      value = static_cast<double>(single);
    }
    const bool whole = std::isfinite(value) && value == std::nearbyint(value);
    values.push_back(whole ? static_cast<std::int64_t>(value) : -12345);
  }
  return values;
}

void compare(const json& c, bool half, const std::map<Tensor, Values>& given) {
  const Block block = block_of_attributes(c.at("block"), half);
  const std::int64_t rows = c.at("clips").get<std::int64_t>() * block.frames;
  std::map<Tensor, std::unique_ptr<Memory>> memory;
  for (const TensorSpec& spec : inputs_of(block, rows)) {
    memory[spec.tensor] = std::make_unique<Memory>(size_of(spec, half));
    Values values = given.at(spec.tensor);
    if (spec.tensor == Tensor::x) {
      const auto where = places(input_of(block), rows);
      Values frames(static_cast<std::size_t>(rows * input_of(block).size()), 0);
      for (std::size_t i = 0; i < where.size(); ++i) {
        frames[where[i]] = values[i];
      }
      values = frames;
    }
    memory[spec.tensor]->write(encode(values, spec.element, half));
  }
  for (const TensorSpec& spec : outputs_of(block, rows)) {
    memory[spec.tensor] = std::make_unique<Memory>(size_of(spec, half));
  }
  const Memory workspace(make_plan(block, rows).workspace_bytes);
  Engine engine(block);
  engine.shape(rows);
  REQUIRE(engine.change() == 0);
  const auto at = [&](Tensor tensor) { return memory.at(tensor)->get(); };
  REQUIRE(engine.run(rows, at, workspace.get(), reinterpret_cast<cudaStream_t>(stream)) == 0);
  const Values y = decode(memory[Tensor::y]->read(), Element::stored, half);
  Values maps;
  for (const std::size_t place : places(output_of(block), rows)) {
    maps.push_back(y[place]);
  }
  CHECK(checksum(maps) == c.at("y").get<std::uint32_t>());
  const Values policy = decode(memory[Tensor::policy]->read(), Element::int32, half);
  CHECK(checksum(policy) == c.at("policy").get<std::uint32_t>());
}

}  // namespace

TEST_CASE("blocks of whole numbers") {
  for (const json& c : adafuse::read_cases("block_values")) {
    CAPTURE(c.at("block").dump());
    for (const bool half : {true, false}) {
      const Block block = block_of_attributes(c.at("block"), half);
      const std::int64_t rows = c.at("clips").get<std::int64_t>() * block.frames;
      std::map<Tensor, Values> given;
      std::uint64_t salt = 0;
      for (const TensorSpec& spec : inputs_of(block, rows)) {
        const Values& values = given[spec.tensor] = make_input(block, spec, salt++);
        CHECK(checksum(values) == c.at("inputs").at(name_of(spec.tensor)).get<std::uint32_t>());
        CHECK(decode(encode(values, spec.element, half), spec.element, half) == values);
      }
      CHECK(given.size() == c.at("inputs").size());
      if (stream != nullptr) {
        compare(c, half, given);
      }
    }
  }
}

int main(int argc, char** argv) {
  bool gpu = true;
  CUdevice device = 0;
  try {
    CUcontext context = nullptr;
    ADAFUSE_CUDA(cuDeviceGet, &device, 0);
    ADAFUSE_CUDA(cuDevicePrimaryCtxRetain, &context, device);
    ADAFUSE_CUDA(cuCtxSetCurrent, context);
    ADAFUSE_CUDA(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  } catch (const adafuse::cuda::NoDriver& error) {
    std::printf("%s: inputs are checked alone\n", error.what());
    gpu = false;
  }
  const int failed = doctest::Context(argc, argv).run();
  if (gpu) {
    ADAFUSE_CUDA(cuStreamDestroy, stream);
    ADAFUSE_CUDA(cuDevicePrimaryCtxRelease, device);
  }
  return failed != 0 ? failed : gpu ? 0 : kSkipped;
}
