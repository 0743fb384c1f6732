// Drives the library as TensorRT does, without TensorRT: creators, shapes, formats, serialisation.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tensorrt/block_creator.h"
#include "tensorrt/block_tensors.h"
#include "tensorrt/tests/kept_log.h"

namespace {

using namespace nvinfer1;
using namespace adafuse::plugin;

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
      case DimensionOperation::kPROD:
        return make(a * b);
      case DimensionOperation::kCEIL_DIV:
        return make((a + b - 1) / b);
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

using Creators = std::vector<IPluginCreatorV3One*>;

Creators open(KeptLog& logger) {
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

// The attributes of a gated bottleneck of ResNet-50, of which tests change some.
struct Attributes {
  std::vector<std::pair<std::string, std::vector<std::int32_t>>> values{
      {"bottleneck", {1}},     {"frames", {8}},          {"height", {28}},
      {"width", {28}},         {"channels_in", {256}},   {"channels", {128}},
      {"channels_out", {512}}, {"stride", {2}},          {"project", {1}},
      {"shift_next", {32}},    {"shift_previous", {32}}, {"shift_shortcut", {0}},
      {"hidden", {1024}},      {"summed", {1}},          {"actions", {0, 1, 2}}};

  Attributes with(const std::string& name, std::vector<std::int32_t> changed) const {
    Attributes result = *this;
    for (auto& [known, numbers] : result.values) {
      if (known == name) {
        numbers = changed;
      }
    }
    return result;
  }
  Attributes without(const std::string& name) const {
    Attributes result;
    result.values.clear();
    for (const auto& entry : values) {
      if (entry.first != name) {
        result.values.push_back(entry);
      }
    }
    return result;
  }
};

Plugin create(IPluginCreatorV3One& creator, const Attributes& attributes) {
  std::vector<PluginField> fields;
  for (const auto& [name, numbers] : attributes.values) {
    fields.emplace_back(name.c_str(), numbers.data(), PluginFieldType::kINT32,
                        std::int32_t(numbers.size()));
  }
  const PluginFieldCollection collection{std::int32_t(fields.size()), fields.data()};
  return Plugin(creator.createPlugin("block", &collection, TensorRTPhase::kBUILD));
}

// The block of those attributes.
Block bottleneck() {
  Block block;
  block.frames = 8;
  block.height = block.width = 28;
  block.channels_in = 256;
  block.channels = 128;
  block.channels_out = 512;
  block.stride = 2;
  block.project = true;
  block.forward = 32;
  block.backward = 64;
  block.shift_shortcut = false;
  block.hidden = 1024;
  block.summed = true;
  return block;
}

using Shape = std::vector<std::int64_t>;

Dims dims(const Shape& shape) {
  Dims result{};
  result.nbDims = std::int32_t(shape.size());
  std::copy(shape.begin(), shape.end(), result.d);
  return result;
}

std::vector<DynamicPluginTensorDesc> describe(const std::vector<TensorSpec>& specs, DataType type) {
  std::vector<DynamicPluginTensorDesc> result;
  for (const TensorSpec& spec : specs) {
    DynamicPluginTensorDesc tensor{};
    tensor.desc.type = spec.element == Element::stored    ? type
                       : spec.element == Element::float32 ? DataType::kFLOAT
                                                          : DataType::kINT32;
    tensor.desc.format = TensorFormat::kLINEAR;
    tensor.desc.dims = tensor.min = tensor.max = tensor.opt = dims(spec.dims);
    result.push_back(tensor);
  }
  return result;
}

// Returns the shapes of outputs, or none where the plugin refuses.
std::vector<Shape> output_shapes(const Plugin& plugin, const std::vector<TensorSpec>& inputs,
                                 std::int32_t outputs) {
  Builder builder;
  std::vector<DimsExprs> in(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    in[i].nbDims = std::int32_t(inputs[i].dims.size());
    for (std::size_t axis = 0; axis < inputs[i].dims.size(); ++axis) {
      in[i].d[axis] = builder.make(inputs[i].dims[axis]);
    }
  }
  std::vector<DimsExprs> out(4);
  if (build(plugin).getOutputShapes(in.data(), std::int32_t(in.size()), nullptr, 0, out.data(),
                                    outputs, builder) != 0) {
    return {};
  }
  std::vector<Shape> result;
  for (std::int32_t i = 0; i < outputs; ++i) {
    result.emplace_back();
    for (std::int32_t axis = 0; axis < out[std::size_t(i)].nbDims; ++axis) {
      result.back().push_back(out[std::size_t(i)].d[axis]->getConstantValue());
    }
  }
  return result;
}

void check_said(KeptLog& logger, const std::string& words) {
  INFO(logger.words);
  CHECK(logger.words.find(words) != std::string::npos);
  logger.words.clear();
}

void check_identity(const Creators& creators) {
  REQUIRE(creators.size() == 1);
  CHECK(std::strcmp(creators[0]->getPluginName(), "GatedResidualBlock") == 0);
  CHECK(std::strcmp(creators[0]->getPluginNamespace(), "ai.adafuse") == 0);
  CHECK(std::strcmp(creators[0]->getPluginVersion(), "1") == 0);
  const PluginFieldCollection* const names = creators[0]->getFieldNames();
  const Attributes all;
  REQUIRE(names->nbFields == std::int32_t(all.values.size()));
  for (std::int32_t i = 0; i < names->nbFields; ++i) {
    CHECK(names->fields[i].name == all.values[std::size_t(i)].first);
    CHECK(names->fields[i].length == std::int32_t(all.values[std::size_t(i)].second.size()));
  }
  const Plugin plugin = create(*creators[0], {});
  REQUIRE(plugin != nullptr);
  auto& core = capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
  CHECK(std::strcmp(core.getPluginName(), "GatedResidualBlock") == 0);
  CHECK(std::strcmp(core.getPluginNamespace(), "ai.adafuse") == 0);
  CHECK(build(plugin).getNbOutputs() == 3);
  const DataType types[] = {DataType::kHALF, DataType::kHALF};
  DataType outputs[3] = {};
  CHECK(build(plugin).getOutputDataTypes(outputs, 3, types, 2) == 0);
  CHECK((outputs[0] == DataType::kHALF && outputs[1] == DataType::kFLOAT &&
         outputs[2] == DataType::kINT32));
  // Under a given policy there is none to give.
  CHECK(build(create(*creators[0], Attributes().with("hidden", {0}))).getNbOutputs() == 2);
}

void check_fields(IPluginCreatorV3One& creator, KeptLog& logger) {
  const Attributes good;
  for (const auto& [name, numbers] : good.values) {
    CHECK(create(creator, good.without(name)) == nullptr);
    check_said(logger, "GatedResidualBlock: The attribute " + name + " is missing");
    std::vector<std::int32_t> longer = numbers;
    longer.push_back(1);
    CHECK(create(creator, good.with(name, longer)) == nullptr);
    check_said(logger, "The attribute " + name + " has to be ");
    for (const std::int32_t bad : {-1, 1 << 30, std::numeric_limits<std::int32_t>::min()}) {
      CHECK(create(creator, good.with(name, std::vector<std::int32_t>(numbers.size(), bad))) ==
            nullptr);
      check_said(logger, "The attribute " + name + " holds " + std::to_string(bad));
    }
  }
  const auto contradict = [&](const Attributes& attributes) {
    CHECK(create(creator, attributes) == nullptr);
    check_said(logger, "contradict each other");
  };
  contradict(good.with("project", {0}));
  contradict(good.with("bottleneck", {0}));
  contradict(good.with("shift_next", {240}));
  const std::int32_t one = 1;
  const float real = 1;
  const auto make = [&](const std::vector<PluginField>& fields) {
    const PluginFieldCollection collection{std::int32_t(fields.size()), fields.data()};
    return Plugin(creator.createPlugin("block", &collection, TensorRTPhase::kBUILD));
  };
  CHECK(make({{"bottleneck", &real, PluginFieldType::kFLOAT32, 1}}) == nullptr);
  check_said(logger, "bottleneck has to be 1 integers");
  CHECK(make({{"bottleneck", nullptr, PluginFieldType::kINT32, 1}}) == nullptr);
  check_said(logger, "bottleneck has to be 1 integers");
  CHECK(make({{nullptr, &one, PluginFieldType::kINT32, 1}}) == nullptr);
  check_said(logger, "bottleneck is missing");
  CHECK(creator.createPlugin("block", nullptr, TensorRTPhase::kBUILD) == nullptr);
  check_said(logger, "no attributes");
}

void check_shapes(const Creators& creators, KeptLog& logger) {
  const Plugin plugin = create(*creators[0], {});
  const auto inputs = inputs_of(bottleneck(), 24);
  CHECK(inputs.size() == 13);
  // Sums: tiles of 64 pixels over 24 frames of 14 x 14, and 126 / 196 + 2 frames that one can meet.
  CHECK((output_shapes(plugin, inputs, 3) ==
         std::vector<Shape>{{24, 14 * 14 * 512}, {74 * 2, 512}, {3, 8, 128}}));
  CHECK(output_shapes(plugin, {inputs.begin(), inputs.end() - 1}, 3).empty());
  check_said(logger, "has 12 inputs instead of 13; build the engine again");
  CHECK(output_shapes(plugin, inputs, 2).empty());
  check_said(logger, "gives 3 tensors, not 2");
  auto other = inputs;
  other[0].dims.push_back(1);
  CHECK(output_shapes(plugin, other, 3).empty());
  check_said(logger, "frames of two dimensions, not 3");
  // A basic block whose frames of 7 x 7 have a border; its policy is given.
  Block block = bottleneck();
  block.bottleneck = block.project = false;
  block.channels_in = block.channels = block.channels_out = 512;
  block.height = block.width = 7;
  block.stride = 1;
  block.hidden = 0;
  const Plugin basic = create(*creators[0], Attributes()
                                                .with("bottleneck", {0})
                                                .with("project", {0})
                                                .with("channels_in", {512})
                                                .with("channels", {512})
                                                .with("height", {7})
                                                .with("width", {7})
                                                .with("stride", {1})
                                                .with("hidden", {0}));
  CHECK((output_shapes(basic, inputs_of(block, 16), 2) ==
         std::vector<Shape>{{16, (9 * 8 + 1) * 512}, {16, 512}}));
}

void check_formats(const Creators& creators) {
  const Plugin plugin = create(*creators[0], {});
  const std::vector<TensorFormat> formats{TensorFormat::kLINEAR, TensorFormat::kCHW2,
                                          TensorFormat::kHWC8, TensorFormat::kHWC};
  const std::vector<DataType> types{DataType::kHALF, DataType::kFLOAT, DataType::kINT8,
                                    DataType::kINT32, DataType::kBF16};
  const auto in = inputs_of(bottleneck(), 8), out = outputs_of(bottleneck(), 8);
  auto specs = in;
  specs.insert(specs.end(), out.begin(), out.end());
  const auto count = std::int32_t(in.size());
  for (const DataType type : types) {
    auto tensors = describe(specs, type);
    const bool served = type == DataType::kHALF || type == DataType::kFLOAT;
    for (std::int32_t position = 0; position < std::int32_t(specs.size()); ++position) {
      const DataType right = tensors[std::size_t(position)].desc.type;
      for (const TensorFormat format : formats) {
        for (const DataType asked : types) {
          tensors[std::size_t(position)].desc.format = format;
          tensors[std::size_t(position)].desc.type = asked;
          const bool expected = served && format == TensorFormat::kLINEAR && asked == right;
          // The frames' own type is free among both.
          const bool free = position == 0 && format == TensorFormat::kLINEAR &&
                            (asked == DataType::kHALF || asked == DataType::kFLOAT);
          CHECK(build(plugin).supportsFormatCombination(position, tensors.data(), count, 3) ==
                (position == 0 ? free : expected));
        }
      }
      tensors[std::size_t(position)].desc.format = TensorFormat::kLINEAR;
      tensors[std::size_t(position)].desc.type = right;
    }
    CHECK(!build(plugin).supportsFormatCombination(count + 3, tensors.data(), count, 3));
  }
}

void check_copies(const Creators& creators) {
  const Plugin original = create(*creators[0], {});
  const PluginFieldCollection* const fields = runtime(original).getFieldsToSerialize();
  Plugin restored(creators[0]->createPlugin("block", fields, TensorRTPhase::kRUNTIME));
  const Plugin cloned(restored->clone());
  const Plugin attached(runtime(cloned).attachToContext(nullptr));
  restored.reset();  // copies stand on their own
  const Attributes expected;
  for (const Plugin* plugin : {&original, &cloned, &attached}) {
    const PluginFieldCollection* const got = runtime(*plugin).getFieldsToSerialize();
    REQUIRE(got->nbFields == std::int32_t(expected.values.size()));
    for (std::int32_t i = 0; i < got->nbFields; ++i) {
      const auto& [name, numbers] = expected.values[std::size_t(i)];
      CHECK(got->fields[i].name == name);
      REQUIRE(got->fields[i].length == std::int32_t(numbers.size()));
      CHECK(std::memcmp(got->fields[i].data, numbers.data(), numbers.size() * 4) == 0);
    }
  }
}

void check_tensors(const Creators& creators, KeptLog& logger) {
  const Plugin plugin = create(*creators[0], {});
  const auto out = describe(outputs_of(bottleneck(), 16), DataType::kHALF);
  const auto configure = [&](const std::vector<DynamicPluginTensorDesc>& in) {
    return build(plugin).configurePlugin(in.data(), std::int32_t(in.size()), out.data(), 3);
  };
  const auto good = describe(inputs_of(bottleneck(), 16), DataType::kHALF);
  CHECK(configure(good) == 0);
  for (std::size_t tensor = 0; tensor < good.size(); ++tensor) {
    auto bad = good;
    ++bad[tensor].max.nbDims;
    CHECK(configure(bad) != 0);
    check_said(logger, tensor == 0 ? "two dimensions" : "as input " + std::to_string(tensor));
    for (std::int32_t axis = 0; axis < good[tensor].max.nbDims; ++axis) {
      bad = good;
      ++bad[tensor].max.d[axis];
      CHECK(configure(bad) != 0);
      CHECK(!logger.words.empty());
      logger.words.clear();
    }
  }
  CHECK(configure(describe(inputs_of(bottleneck(), 80000), DataType::kHALF)) != 0);
  check_said(logger, "at most 65535 frames at a time, not 80000");
}

void check_workspace(const Creators& creators, KeptLog& logger) {
  const Plugin plugin = create(*creators[0], {});
  const auto bytes = [&](std::int64_t now, std::int64_t most) {
    auto in = describe(inputs_of(bottleneck(), now), DataType::kHALF);
    in[0].max.d[0] = most;  // the shapes at hand are of no account
    return build(plugin).getWorkspaceSize(in.data(), std::int32_t(in.size()), nullptr, 3);
  };
  const auto rounded = [](std::size_t size) { return (size + 255) / 256 * 256; };
  // Two parts of hidden units for 16 frames, an arrival, records of 16 numbers, 144 and 192
  // channels, compact frames of 28 x 28 with room for 192 channels, and conv2's result.
  const std::size_t expected =
      rounded(2 * 16 * 1024 * 4) + rounded(4) + rounded(16 * (16 + 144 + 192) * 4) +
      rounded(16 * (30 * 29 + 1) * 192 * 2) + rounded(16 * 14 * 14 * 128 * 2);
  CHECK(bytes(8, 16) == expected);
  CHECK(bytes(16, 16) == expected);
  CHECK(bytes(8, 8) < expected);
  CHECK(bytes(8, 1 << 20) > std::size_t{1} << 60);  // no size that anybody has
  check_said(logger, "at most 65535 frames");
}

}  // namespace

TEST_CASE("the TensorRT plugin as the builder meets it") {
  KeptLog logger;
  const Creators creators = open(logger);
  check_identity(creators);
  CHECK(logger.words == "");
  check_fields(*creators[0], logger);
  check_shapes(creators, logger);
  check_formats(creators);
  check_copies(creators);
  check_tensors(creators, logger);
  check_workspace(creators, logger);
  CHECK(logger.words == "");
}
