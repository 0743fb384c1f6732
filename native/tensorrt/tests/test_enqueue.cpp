// On a GPU the plugins give exactly what the reference does; all numbers are small integers.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cuda_driver/driver.h"
#include "tensorrt/conv_plugin.h"
#include "tests/reference.h"

namespace {

using namespace adafuse::plugin;
using nvinfer1::DataType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

constexpr int kSkipped = 77;  // as CMakeLists.txt says

// float16 of an integer below 2048.
std::uint16_t to_half(float value) {
  if (value == 0) {
    return 0;
  }
  int exponent = 0;
  const float fraction = std::frexp(std::fabs(value), &exponent);  // in [0.5, 1)
  const auto mantissa = static_cast<std::uint16_t>(std::lround((2 * fraction - 1) * 1024));
  return static_cast<std::uint16_t>((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | mantissa);
}

float from_half(std::uint16_t bits) {
  if ((bits & 0x7fff) == 0) {
    return 0;
  }
  const float value = std::ldexp(1 + (bits & 1023) / 1024.0f, (bits >> 10 & 31) - 15);
  return bits & 0x8000 ? -value : value;
}

class Memory {
 public:
  Memory(std::size_t bytes, CUstream stream) : stream_(stream) {
    ADAFUSE_CUDA(cuMemAlloc, &address_, std::max<std::size_t>(bytes, 1));
  }
  ~Memory() { adafuse::cuda::driver().cuMemFree_(address_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* get() const { return reinterpret_cast<void*>(address_); }
  template <typename T>
  void upload(const std::vector<T>& values) const {
    ADAFUSE_CUDA(cuMemcpyHtoDAsync, address_, values.data(), values.size() * sizeof(T), stream_);
    ADAFUSE_CUDA(cuStreamSynchronize, stream_);
  }
  template <typename T>
  std::vector<T> download(std::size_t count) const {
    std::vector<T> values(count);
    ADAFUSE_CUDA(cuMemcpyDtoHAsync, values.data(), address_, count * sizeof(T), stream_);
    ADAFUSE_CUDA(cuStreamSynchronize, stream_);
    return values;
  }

 private:
  CUdeviceptr address_ = 0;
  CUstream stream_;
};

// Feature maps between (rows, channels, pixels) and what TensorRT gives the plugin.
struct Maps {
  std::size_t rows, channels, pixels;
  DataType type;
  TensorFormat format;

  std::size_t room() const {
    return format == TensorFormat::kHWC8 ? (channels + 7) / 8 * 8 : channels;
  }
  std::size_t size() const { return rows * room() * pixels; }
  std::size_t bytes() const { return size() * (type == DataType::kHALF ? 2 : 4); }
  std::size_t at(std::size_t row, std::size_t channel, std::size_t pixel) const {
    return format == TensorFormat::kLINEAR ? (row * channels + channel) * pixels + pixel
                                           : (row * pixels + pixel) * room() + channel;
  }
};

void upload(const Memory& memory, const std::vector<float>& values, DataType type) {
  if (type == DataType::kFLOAT) {
    memory.upload(values);
    return;
  }
  std::vector<std::uint16_t> halves;
  for (const float value : values) {
    halves.push_back(to_half(value));
  }
  memory.upload(halves);
}

std::vector<float> download(const Memory& memory, std::size_t count, DataType type) {
  if (type == DataType::kFLOAT) {
    return memory.download<float>(count);
  }
  std::vector<float> values;
  for (const std::uint16_t bits : memory.download<std::uint16_t>(count)) {
    values.push_back(from_half(bits));
  }
  return values;
}

PluginTensorDesc describe(std::vector<std::size_t> shape, DataType type, TensorFormat format) {
  PluginTensorDesc result{};
  result.type = type;
  result.format = format;
  result.dims.nbDims = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), result.dims.d);
  return result;
}

struct Case {
  std::size_t clips, frames;
  adafuse::ConvShape shape;
  Operator kind;
  bool skipping;
  std::vector<double> mix;  // shares of keep, reuse, skip
};

void run(const Case& c, DataType type, TensorFormat format, CUstream stream) {
  std::mt19937 random(1);
  const adafuse::ConvShape& s = c.shape;
  const std::size_t taps = s.kernel_height * s.kernel_width, rows = c.clips * c.frames;
  const std::size_t out_pixels = s.out_height() * s.out_width();
  std::uniform_int_distribution<int> value(-2, 2), weight_value(-1, 1);
  std::discrete_distribution<int> action(c.mix.begin(), c.mix.end());
  const auto policy_of = [&](std::size_t channels) {
    std::vector<std::int32_t> policy(rows * channels);
    for (std::int32_t& entry : policy) {
      entry = action(random);
    }
    return policy;
  };
  const bool gated = c.kind == Operator::gated_conv;
  const auto policy = policy_of(s.out_channels), input_policy = policy_of(s.in_channels);
  const std::size_t in_pixels = s.in_height * s.in_width;
  std::vector<float> x(rows * s.in_channels * in_pixels), bias(s.out_channels);
  std::vector<float> weight(s.out_channels * s.in_channels * taps);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t channel = i / in_pixels;
    const bool first = channel / s.in_channels % c.frames == 0;
    const bool zero =
        c.skipping && (input_policy[channel] == 2 || (input_policy[channel] == 1 && first));
    x[i] = zero ? 0.0f : static_cast<float>(value(random));
  }
  for (float& entry : weight) {
    entry = static_cast<float>(weight_value(random));
  }
  for (float& entry : bias) {
    entry = static_cast<float>(value(random));
  }
  std::vector<double> expected = adafuse::reference::convolution(s, x, weight, bias);
  if (gated) {
    expected =
        adafuse::reference::fuse(expected, policy, c.clips, c.frames, s.out_channels, out_pixels);
  }

  const Maps in{rows, s.in_channels, in_pixels, type, format};
  const Maps out{rows, s.out_channels, out_pixels, type, format};
  std::vector<float> x_stored(in.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t channel = 0; channel < s.in_channels; ++channel) {
      for (std::size_t pixel = 0; pixel < in_pixels; ++pixel) {
        x_stored[in.at(row, channel, pixel)] =
            x[(row * s.in_channels + channel) * in_pixels + pixel];
      }
    }
  }
  const std::size_t element = type == DataType::kHALF ? 2 : 4;
  const Memory x_memory(in.bytes(), stream), weight_memory(weight.size() * element, stream);
  const Memory bias_memory(bias.size() * element, stream), y_memory(out.bytes(), stream);
  const Memory policy_memory(policy.size() * 4, stream);
  const Memory input_policy_memory(input_policy.size() * 4, stream);
  upload(x_memory, x_stored, type);
  upload(weight_memory, weight, type);
  upload(bias_memory, bias, type);
  upload(y_memory, std::vector<float>(out.size(), 77.0f), type);
  policy_memory.upload(policy);
  input_policy_memory.upload(input_policy);

  const ConvAttributes attributes{
      {static_cast<std::int32_t>(s.stride_y), static_cast<std::int32_t>(s.stride_x)},
      {static_cast<std::int32_t>(s.pad_top), static_cast<std::int32_t>(s.pad_left),
       static_cast<std::int32_t>(s.pad_bottom), static_cast<std::int32_t>(s.pad_right)},
      0};
  ConvPlugin plugin(c.kind, attributes);
  std::vector<PluginTensorDesc> descs{
      describe({rows, s.in_channels, s.in_height, s.in_width}, type, format),
      describe({s.out_channels, s.in_channels, s.kernel_height, s.kernel_width}, type,
               TensorFormat::kLINEAR),
      describe({s.out_channels}, type, TensorFormat::kLINEAR)};
  std::vector<const void*> inputs{x_memory.get(), weight_memory.get(), bias_memory.get()};
  const auto add_policy = [&](const Memory& memory, std::size_t channels) {
    descs.push_back(
        describe({c.clips, c.frames, channels}, DataType::kINT32, TensorFormat::kLINEAR));
    inputs.push_back(memory.get());
  };
  if (gated) {
    add_policy(policy_memory, s.out_channels);
  }
  if (c.skipping) {
    add_policy(input_policy_memory, s.in_channels);
  }
  const PluginTensorDesc y_desc =
      describe({rows, s.out_channels, s.out_height(), s.out_width()}, type, format);
  std::vector<nvinfer1::DynamicPluginTensorDesc> dynamic;
  for (const PluginTensorDesc& desc : descs) {
    dynamic.push_back({desc, desc.dims, desc.dims, desc.dims});
  }
  const auto count = static_cast<std::int32_t>(descs.size());
  const Memory workspace(plugin.getWorkspaceSize(dynamic.data(), count, nullptr, 1), stream);
  void* const outputs[] = {y_memory.get()};
  CHECK(plugin.onShapeChange(descs.data(), count, &y_desc, 1) == 0);
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(plugin.enqueue(descs.data(), &y_desc, inputs.data(), outputs, workspace.get(),
                         reinterpret_cast<cudaStream_t>(stream)) == 0);
  }
  const std::vector<float> y = download(y_memory, out.size(), type);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t channel = 0; channel < s.out_channels; ++channel) {
      for (std::size_t pixel = 0; pixel < out_pixels; ++pixel) {
        CHECK(y[out.at(row, channel, pixel)] ==
              expected[(row * s.out_channels + channel) * out_pixels + pixel]);
      }
    }
  }
}

}  // namespace

// Why there is no GPU to run on, or nothing.
std::string missing_driver() {
  try {
    adafuse::cuda::driver();
    return "";
  } catch (const adafuse::cuda::NoDriver& error) {
    return error.what();
  }
}

TEST_CASE("without a driver the plugin says so instead of crashing" *
          doctest::skip(missing_driver().empty())) {
  ConvPlugin plugin(Operator::gated_conv, {});
  std::vector<PluginTensorDesc> in{describe({8, 16, 5, 5}, DataType::kFLOAT, TensorFormat::kLINEAR),
                                   describe({4, 16, 1, 1}, DataType::kFLOAT, TensorFormat::kLINEAR),
                                   describe({4}, DataType::kFLOAT, TensorFormat::kLINEAR),
                                   describe({1, 8, 4}, DataType::kINT32, TensorFormat::kLINEAR)};
  CHECK(plugin.onShapeChange(in.data(), 4, in.data(), 1) == 0);
  const void* inputs[4] = {};
  void* outputs[1] = {};
  CHECK(plugin.enqueue(in.data(), in.data(), inputs, outputs, nullptr, nullptr) != 0);
}

TEST_CASE("plugins equal the reference on a GPU" * doctest::skip(!missing_driver().empty())) {
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  ADAFUSE_CUDA(cuDeviceGet, &device, 0);
  ADAFUSE_CUDA(cuDevicePrimaryCtxRetain, &context, device);
  ADAFUSE_CUDA(cuCtxSetCurrent, context);
  ADAFUSE_CUDA(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);

  const std::vector<std::vector<double>> mixes{
      {0.232, 0.172, 0.596}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (const auto& [type, format] : {std::pair{DataType::kFLOAT, TensorFormat::kLINEAR},
                                     std::pair{DataType::kFLOAT, TensorFormat::kHWC},
                                     std::pair{DataType::kHALF, TensorFormat::kLINEAR},
                                     std::pair{DataType::kHALF, TensorFormat::kHWC8}}) {
    for (const auto& [kind, skipping] :
         {std::pair{Operator::gated_conv, false}, std::pair{Operator::gated_conv, true},
          std::pair{Operator::skip_conv, true}}) {
      for (const auto& mix : mixes) {
        for (const std::size_t channels : {13, 64}) {
          Case c{2, 4, {}, kind, skipping, mix};
          c.shape.frames = 8;
          c.shape.in_channels = channels;
          c.shape.out_channels = channels + 16;
          c.shape.in_height = 9;
          c.shape.in_width = 7;
          c.shape.kernel_height = c.shape.kernel_width = 3;
          c.shape.stride_y = 2;
          c.shape.stride_x = 1;
          c.shape.pad_top = c.shape.pad_left = c.shape.pad_bottom = c.shape.pad_right = 1;
          run(c, type, format, stream);
        }
      }
    }
  }
}

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  const std::string missing = missing_driver();
  if (result == 0 && !missing.empty()) {
    std::printf("Not run on a GPU: %s\n", missing.c_str());
    return kSkipped;
  }
  return result;
}
