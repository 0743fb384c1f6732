// Drives the library as TensorRT does, without TensorRT: creators, shapes, formats, serialisation.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tensorrt/conv_creator.h"

namespace {

using namespace nvinfer1;
using adafuse::plugin::ConvAttributes;

// Expressions over known numbers.
class Number : public IDimensionExpr, private apiv::VDimensionExpr {
 public:
  explicit Number(std::int64_t value) : value_(value) { mImpl = this; }

 private:
  IDimensionExpr* getPImpl() noexcept { return this; }
  bool isConstant() const noexcept override { return true; }
  std::int64_t getConstantValue() const noexcept override { return value_; }
  bool isSizeTensor() const noexcept override { return false; }

  std::int64_t value_;
};

class Builder : public IExprBuilder, private apiv::VExprBuilder {
 public:
  Builder() { mImpl = this; }
  const IDimensionExpr* make(std::int64_t value) {
    numbers_.push_back(std::make_unique<Number>(value));
    return numbers_.back().get();
  }

 private:
  const IDimensionExpr* constant(std::int64_t value) noexcept override { return make(value); }
  const IDimensionExpr* operation(DimensionOperation op, const IDimensionExpr& first,
                                  const IDimensionExpr& second) noexcept override {
    const std::int64_t a = first.getConstantValue(), b = second.getConstantValue();
    switch (op) {
      case DimensionOperation::kSUM:
        return make(a + b);
      case DimensionOperation::kSUB:
        return make(a - b);
      case DimensionOperation::kFLOOR_DIV:
        return make(a / b);
      default:
        CHECK(false);
    }
    return nullptr;
  }
  const IDimensionExpr* declareSizeTensor(std::int32_t, const IDimensionExpr&,
                                          const IDimensionExpr&) noexcept override {
    return nullptr;
  }

  std::vector<std::unique_ptr<Number>> numbers_;
};

class Logger : public ILogger, public ILoggerFinder {
 public:
  void log(Severity, const char* message) noexcept override { words += message; }
  ILogger* findLogger() noexcept override { return this; }

  std::string words;
};

using Creators = std::vector<IPluginCreatorV3One*>;

Creators open(Logger& logger) {
  void* const library = dlopen(ADAFUSE_PLUGIN_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto find = reinterpret_cast<void (*)(ILoggerFinder*)>(dlsym(library, "setLoggerFinder"));
  const auto list = reinterpret_cast<IPluginCreatorInterface* const* (*)(std::int32_t&)>(
      dlsym(library, "getCreators"));
  REQUIRE((find != nullptr && list != nullptr));
  find(&logger);
  std::int32_t count = 0;
  IPluginCreatorInterface* const* const creators = list(count);
  Creators result;
  for (std::int32_t i = 0; i < count; ++i) {
    CHECK(std::strcmp(creators[i]->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0);
    result.push_back(static_cast<IPluginCreatorV3One*>(creators[i]));
  }
  return result;
}

using Plugin = std::unique_ptr<IPluginV3>;

template <class Capability>
Capability& capability(const Plugin& plugin, PluginCapabilityType type) {
  IPluginCapability* const found = plugin->getCapabilityInterface(type);
  REQUIRE(found != nullptr);
  return static_cast<Capability&>(*found);
}

auto& build(const Plugin& plugin) {
  return capability<v_1_0::IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
}
auto& runtime(const Plugin& plugin) {
  return capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
}

Plugin create(IPluginCreatorV3One& creator, std::vector<std::int32_t> strides,
              std::vector<std::int32_t> pads, std::int32_t packed = 0) {
  const std::vector<PluginField> fields{
      {"strides", strides.data(), PluginFieldType::kINT32, std::int32_t(strides.size())},
      {"pads", pads.data(), PluginFieldType::kINT32, std::int32_t(pads.size())},
      {"packed", &packed, PluginFieldType::kINT32, 1}};
  const PluginFieldCollection collection{std::int32_t(fields.size()), fields.data()};
  return Plugin(creator.createPlugin("conv", &collection, TensorRTPhase::kBUILD));
}

using Shape = std::vector<std::int64_t>;

// Returns the output's shape, or nothing where the plugin refuses.
Shape output_shape(const Plugin& plugin, const std::vector<Shape>& inputs) {
  Builder builder;
  std::vector<DimsExprs> in(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    in[i].nbDims = std::int32_t(inputs[i].size());
    for (std::size_t axis = 0; axis < inputs[i].size(); ++axis) {
      in[i].d[axis] = builder.make(inputs[i][axis]);
    }
  }
  DimsExprs out{};
  if (build(plugin).getOutputShapes(in.data(), std::int32_t(in.size()), nullptr, 0, &out, 1,
                                    builder) != 0) {
    return {};
  }
  Shape result;
  for (std::int32_t axis = 0; axis < out.nbDims; ++axis) {
    result.push_back(out.d[axis]->getConstantValue());
  }
  return result;
}

Dims dims(const Shape& shape) {
  Dims result{};
  result.nbDims = std::int32_t(shape.size());
  std::copy(shape.begin(), shape.end(), result.d);
  return result;
}

std::vector<DynamicPluginTensorDesc> describe(const std::vector<Shape>& shapes, DataType type,
                                              TensorFormat format) {
  std::vector<DynamicPluginTensorDesc> result;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const bool policy = shapes[i].size() == 3;
    const bool frames = i == 0;
    DynamicPluginTensorDesc tensor{};
    tensor.desc.type = policy ? DataType::kINT32 : type;
    tensor.desc.format = frames ? format : TensorFormat::kLINEAR;
    tensor.desc.dims = tensor.min = tensor.max = tensor.opt = dims(shapes[i]);
    result.push_back(tensor);
  }
  return result;
}

void check_identity(const Creators& creators) {
  CHECK(creators.size() == 2);
  const char* const names[] = {"GatedConv", "SkipConv"};
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(std::strcmp(creators[i]->getPluginName(), names[i]) == 0);
    CHECK(std::strcmp(creators[i]->getPluginNamespace(), "ai.adafuse") == 0);
    CHECK(std::strcmp(creators[i]->getPluginVersion(), "1") == 0);
    CHECK(creators[i]->getFieldNames()->nbFields == 3);
    const Plugin plugin = create(*creators[i], {1, 1}, {0, 0, 0, 0});
    auto& core = capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
    CHECK(std::strcmp(core.getPluginName(), names[i]) == 0);
    CHECK(std::strcmp(core.getPluginNamespace(), "ai.adafuse") == 0);
    CHECK(build(plugin).getNbOutputs() == 1);
    const DataType types[] = {DataType::kHALF, DataType::kHALF, DataType::kHALF, DataType::kINT32};
    DataType output = DataType::kFLOAT;
    CHECK(
        (build(plugin).getOutputDataTypes(&output, 1, types, 4) == 0 && output == DataType::kHALF));
  }
}

void check_refused(Logger& logger, const char* words, const Plugin& plugin) {
  CHECK(plugin == nullptr);
  CHECK(logger.words.find(words) != std::string::npos);
  logger.words.clear();
}

// Fields that are missing, have no name or no values, or another type.
void check_fields(IPluginCreatorV3One& creator, Logger& logger) {
  const std::int32_t numbers[] = {1, 1, 1, 1};
  const PluginField strides{"strides", numbers, PluginFieldType::kINT32, 2};
  const PluginField pads{"pads", numbers, PluginFieldType::kINT32, 4};
  const auto make = [&](const std::vector<PluginField>& fields) {
    const PluginFieldCollection collection{std::int32_t(fields.size()), fields.data()};
    return Plugin(creator.createPlugin("conv", &collection, TensorRTPhase::kBUILD));
  };
  REQUIRE(make({strides, pads}) != nullptr);
  REQUIRE(make({strides, pads, {nullptr, nullptr, PluginFieldType::kINT32, 1}}) != nullptr);
  check_refused(logger, "strides is missing", make({pads}));
  check_refused(logger, "pads is missing", make({strides}));
  check_refused(logger, "strides is missing", make({}));
  check_refused(logger, "strides has to be 2 integers",
                make({{"strides", numbers, PluginFieldType::kFLOAT32, 2}, pads}));
  check_refused(logger, "pads has to be 4 integers",
                make({strides, {"pads", nullptr, PluginFieldType::kINT32, 4}}));
  check_refused(logger, "no attributes",
                Plugin(creator.createPlugin("conv", nullptr, TensorRTPhase::kBUILD)));
}

// Tensors of other ranks and sizes than the convolution's.
void check_tensors(const Creators& creators, Logger& logger) {
  const std::vector<Shape> good{{8, 4, 5, 5}, {6, 4, 3, 3}, {6}, {1, 8, 6}, {1, 8, 4}};
  const Plugin plugin = create(*creators[0], {1, 1}, {1, 1, 1, 1});
  const auto refuses = [&](const std::vector<Shape>& shapes) {
    const auto described = describe(shapes, DataType::kFLOAT, TensorFormat::kLINEAR);
    std::vector<PluginTensorDesc> in;
    for (const auto& tensor : described) {
      in.push_back(tensor.desc);
    }
    logger.words.clear();
    const auto count = std::int32_t(in.size());
    const bool refused = runtime(plugin).onShapeChange(in.data(), count, in.data(), 1) != 0;
    CHECK(refused == (logger.words.find("GatedConv") != std::string::npos));
    // The same where memory is asked for.
    CHECK((!refused ||
           build(plugin).getWorkspaceSize(described.data(), count, described.data(), 1) == 0));
    return refused;
  };
  CHECK(!refuses(good));
  const std::int64_t huge = std::int64_t{1} << 40;
  for (std::size_t tensor = 0; tensor < good.size(); ++tensor) {
    std::vector<Shape> bad = good;
    bad[tensor].push_back(1);
    CHECK(refuses(bad));
    for (std::size_t axis = 0; axis < good[tensor].size(); ++axis) {
      for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, huge}) {
        bad = good;
        bad[tensor][axis] = size;
        CHECK(refuses(bad));
      }
      const bool plane = tensor < 2 && axis >= 2;
      bad = good;
      ++bad[tensor][axis];
      CHECK(refuses(bad) == !plane);
    }
  }
  // Each tensor is small enough, the result is not.
  CHECK(refuses({{8, 4, 1, 1 << 24}, {1 << 20, 4, 1, 1}, {1 << 20}, {1, 8, 1 << 20}, {1, 8, 4}}));
}

void check_refusals(const Creators& creators, Logger& logger) {
  logger.words.clear();
  CHECK(create(*creators[0], {2}, {0, 0, 0, 0}) == nullptr);
  CHECK(logger.words.find("strides has to be 2 integers") != std::string::npos);
  const std::int32_t most = std::numeric_limits<std::int32_t>::max(), least = -most - 1;
  for (const std::int32_t bad : {0, -1, least}) {
    check_refused(logger, "GatedConv: The attribute strides holds",
                  create(*creators[0], {1, bad}, {0, 0, 0, 0}));
  }
  for (const std::int32_t bad : {-1, 1025, most, least}) {
    check_refused(logger, "SkipConv: The attribute pads holds",
                  create(*creators[1], {1, 1}, {0, 0, bad, 0}));
  }
  for (const std::int32_t bad : {2, -1, most}) {
    check_refused(logger, "The attribute packed holds",
                  create(*creators[0], {1, 1}, {0, 0, 0, 0}, bad));
  }
  check_refused(logger, "pads has to be 4 integers", create(*creators[0], {1, 1}, {}));
  check_fields(*creators[0], logger);
  check_tensors(creators, logger);
  const Plugin plugin = create(*creators[1], {1, 1}, {0, 0, 0, 0});
  logger.words.clear();
  CHECK(output_shape(plugin, {{8, 4, 5, 5}, {6, 4, 1, 1}, {6}}).empty());
  CHECK(logger.words.find("SkipConv has 3 inputs") != std::string::npos);
  // Policies over other channels than the weights have.
  std::vector<PluginTensorDesc> in;
  for (const auto& tensor : describe({{8, 4, 5, 5}, {6, 4, 1, 1}, {6}, {1, 8, 6}}, DataType::kFLOAT,
                                     TensorFormat::kLINEAR)) {
    in.push_back(tensor.desc);
  }
  logger.words.clear();
  CHECK(runtime(plugin).onShapeChange(in.data(), 4, in.data(), 1) != 0);
  CHECK(logger.words.find("do not fit each other") != std::string::npos);
}

void check_shapes(const Creators& creators) {
  const Plugin plain = create(*creators[0], {2, 3}, {1, 0, 2, 1});
  CHECK(
      (output_shape(plain, {{16, 5, 13, 14}, {7, 5, 3, 2}, {7}, {2, 8, 7}}) == Shape{16, 7, 7, 5}));
  const Plugin packed = create(*creators[0], {1, 1}, {1, 1, 1, 1}, 1);
  CHECK((output_shape(packed, {{8, 5, 9, 7}, {7, 3, 3, 5}, {7}, {1, 8, 7}}) == Shape{8, 7, 9, 7}));
  CHECK((output_shape(packed, {{8, 5, 9, 7}, {3, 3, 5, 7}, {7}, {1, 8, 7}, {1, 8, 5}}) ==
         Shape{8, 7, 9, 7}));
  const Plugin skip = create(*creators[1], {1, 1}, {0, 0, 0, 0}, 1);
  CHECK((output_shape(skip, {{3, 5, 9, 7}, {1, 1, 5, 6}, {6}, {1, 3, 5}}) == Shape{3, 6, 9, 7}));
}

void check_formats(const Creators& creators) {
  const Plugin plugin = create(*creators[0], {1, 1}, {0, 0, 0, 0});
  const std::vector<TensorFormat> formats{
      TensorFormat::kLINEAR, TensorFormat::kCHW2, TensorFormat::kHWC8, TensorFormat::kCHW4,
      TensorFormat::kCHW32,  TensorFormat::kHWC,  TensorFormat::kHWC16};
  const std::vector<DataType> types{DataType::kFLOAT, DataType::kHALF, DataType::kINT8,
                                    DataType::kINT32, DataType::kBF16};
  // X, W, B, policy, input policy, Y.
  std::vector<DynamicPluginTensorDesc> tensors(6);
  int accepted = 0;
  for (const DataType type : types) {
    for (const TensorFormat format : formats) {
      const auto supports = [&](int position, DataType asked_type, TensorFormat asked_format) {
        tensors[position].desc.type = asked_type;
        tensors[position].desc.format = asked_format;
        return build(plugin).supportsFormatCombination(position, tensors.data(), 5, 1);
      };
      if (!supports(0, type, format)) {
        continue;
      }
      ++accepted;
      CHECK((type == DataType::kHALF || type == DataType::kFLOAT));
      for (int position = 1; position <= 2; ++position) {
        CHECK(supports(position, type, TensorFormat::kLINEAR));
        CHECK(!supports(position, type, TensorFormat::kHWC8));
        CHECK(!supports(position, DataType::kINT32, TensorFormat::kLINEAR));
      }
      for (int position = 3; position <= 4; ++position) {
        CHECK(supports(position, DataType::kINT32, TensorFormat::kLINEAR));
        CHECK(!supports(position, type, TensorFormat::kLINEAR));
      }
      for (const TensorFormat other : formats) {
        CHECK(supports(5, type, other) == (other == format));
      }
    }
  }
  CHECK(accepted == 4);  // float32 and float16, channels outermost and innermost
}

void check_copies(const Creators& creators) {
  const Plugin original = create(*creators[0], {2, 1}, {1, 2, 3, 4}, 1);
  const PluginFieldCollection* const fields = runtime(original).getFieldsToSerialize();
  CHECK(fields->nbFields == 3);
  const Plugin restored(creators[0]->createPlugin("conv", fields, TensorRTPhase::kRUNTIME));
  const Plugin cloned(restored->clone());
  const Plugin attached(runtime(cloned).attachToContext(nullptr));
  const std::vector<Shape> inputs{{8, 5, 12, 11}, {6, 3, 2, 5}, {6}, {1, 8, 6}};
  const Shape expected = output_shape(original, inputs);
  CHECK((expected == Shape{8, 6, 7, 16}));
  CHECK(output_shape(restored, inputs) == expected);
  CHECK(output_shape(cloned, inputs) == expected);
  CHECK(output_shape(attached, inputs) == expected);
}

void check_workspace(const Creators& creators) {
  const auto bytes = [](const Plugin& plugin, const std::vector<Shape>& shapes) {
    const auto in = describe(shapes, DataType::kHALF, TensorFormat::kHWC8);
    CHECK(build(plugin).configurePlugin(in.data(), std::int32_t(in.size()), in.data(), 1) == 0);
    return build(plugin).getWorkspaceSize(in.data(), std::int32_t(in.size()), in.data(), 1);
  };
  const auto rounded = [](std::size_t size) { return (size + 255) / 256 * 256; };
  const Plugin packed = create(*creators[0], {1, 1}, {0, 0, 0, 0}, 1);
  // A count and 32 channels for each of 16 frames.
  CHECK(bytes(packed, {{16, 64, 9, 9}, {32, 1, 1, 64}, {32}, {2, 8, 32}}) == rounded(16 * 33 * 4));
  const Plugin unpacked = create(*creators[0], {1, 1}, {0, 0, 0, 0}, 0);
  CHECK(bytes(unpacked, {{16, 64, 9, 9}, {32, 64, 1, 1}, {32}, {2, 8, 32}}) ==
        rounded(16 * 33 * 4) + rounded(64 * 32 * 2));
  const Plugin skip = create(*creators[1], {1, 1}, {0, 0, 0, 0}, 1);
  // The same of 65 inputs, and their values with room for 128.
  CHECK(bytes(skip, {{16, 65, 9, 9}, {1, 1, 65, 32}, {32}, {2, 8, 65}}) ==
        rounded(16 * 66 * 4) + rounded(16 * 81 * 128 * 2));
}

}  // namespace

TEST_CASE("TensorRT plugins as the builder meets them") {
  Logger logger;
  const Creators creators = open(logger);
  check_identity(creators);
  check_refusals(creators, logger);
  check_shapes(creators);
  check_formats(creators);
  check_copies(creators);
  check_workspace(creators);
}
