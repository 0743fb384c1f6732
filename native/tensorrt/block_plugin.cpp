#include "tensorrt/block_plugin.h"

#include <cuda.h>

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda_driver/driver.h"
#include "tensorrt/block_sums.h"
#include "tensorrt/block_tensors.h"
#include "tensorrt/modules.h"
#include "tensorrt/report.h"

namespace adafuse::plugin {
namespace {

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::TensorFormat;

constexpr std::int32_t kFailed = 1;
constexpr std::int32_t kX = 0;
constexpr std::uintptr_t kAddressAlignment = 16;  // bytes

[[noreturn]] void refuse(const std::string& words) {
  throw std::runtime_error(std::string(kName) + " " + words);
}

DataType type_of(Element element, DataType stored) {
  switch (element) {
    case Element::stored:
      return stored;
    case Element::float32:
      return DataType::kFLOAT;
    case Element::int32:
      return DataType::kINT32;
  }
  return stored;
}

std::string text(const nvinfer1::Dims& dims) {
  std::string words;
  for (std::int32_t axis = 0; axis < dims.nbDims; ++axis) {
    words += (axis == 0 ? "" : " x ") + std::to_string(dims.d[axis]);
  }
  return words.empty() ? "none" : words;
}

void check_count(std::int32_t inputs, std::size_t wanted) {
  if (inputs != static_cast<std::int32_t>(wanted)) {
    refuse("has " + std::to_string(inputs) + " inputs instead of " + std::to_string(wanted) +
           "; build the engine again with this adafuse-deploy");
  }
}

std::int64_t rows_of(const nvinfer1::Dims& x) {
  if (x.nbDims != 2) {
    refuse("takes frames of two dimensions, not " + std::to_string(x.nbDims));
  }
  return x.d[0];
}

// Compares all inputs with what the attributes ask for.
void check_inputs(const Block& block, const std::vector<nvinfer1::Dims>& dims) {
  const std::int64_t rows = rows_of(dims[kX]);
  const std::vector<TensorSpec> wanted = inputs_of(block, rows);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& sizes = wanted[i].dims;
    const nvinfer1::Dims& given = dims[i];
    if (given.nbDims != static_cast<std::int32_t>(sizes.size()) ||
        !std::equal(sizes.begin(), sizes.end(), given.d)) {
      nvinfer1::Dims expected{};
      expected.nbDims = static_cast<std::int32_t>(sizes.size());
      std::copy(sizes.begin(), sizes.end(), expected.d);
      refuse("takes " + text(expected) + " numbers as input " + std::to_string(i) + ", not " +
             text(given));
    }
  }
}

}  // namespace

BlockPlugin::BlockPlugin(const nvinfer1::PluginFieldCollection* fields) : fields_(fields) {}

nvinfer1::IPluginCapability* BlockPlugin::getCapabilityInterface(
    nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::v_1_0::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3* BlockPlugin::clone() noexcept {
  return guarded(static_cast<nvinfer1::IPluginV3*>(nullptr),
                 [&]() -> nvinfer1::IPluginV3* { return new BlockPlugin(*this); });
}

std::int32_t BlockPlugin::getNbOutputs() const noexcept {
  return fields_.block().hidden > 0 ? 3 : 2;
}

Block BlockPlugin::of_type(DataType type) const {
  Block block = fields_.block();
  block.half = type == DataType::kHALF;
  return block;
}

std::int32_t BlockPlugin::configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in,
                                          std::int32_t inputs,
                                          const nvinfer1::DynamicPluginTensorDesc*,
                                          std::int32_t) noexcept {
  return guarded(kFailed, [&] {
    const Block block = of_type(in[kX].desc.type);
    check_count(inputs, inputs_of(block, block.frames).size());
    std::vector<nvinfer1::Dims> largest;
    for (std::int32_t i = 0; i < inputs; ++i) {
      largest.push_back(in[i].max);
    }
    check_inputs(block, largest);
    make_plan(block, rows_of(largest[kX]));
    return 0;
  });
}

std::int32_t BlockPlugin::getOutputDataTypes(DataType* output_types, std::int32_t outputs,
                                             const DataType* input_types,
                                             std::int32_t) const noexcept {
  return guarded(kFailed, [&] {
    const Block& block = fields_.block();
    const std::vector<TensorSpec> specs = outputs_of(block, block.frames);
    if (outputs != static_cast<std::int32_t>(specs.size())) {
      refuse("gives " + std::to_string(specs.size()) + " tensors, not " + std::to_string(outputs));
    }
    for (std::size_t i = 0; i < specs.size(); ++i) {
      output_types[i] = type_of(specs[i].element, input_types[kX]);
    }
    return 0;
  });
}

std::int32_t BlockPlugin::getOutputShapes(const nvinfer1::DimsExprs* in, std::int32_t inputs,
                                          const nvinfer1::DimsExprs*, std::int32_t,
                                          nvinfer1::DimsExprs* out, std::int32_t outputs,
                                          nvinfer1::IExprBuilder& builder) noexcept {
  return guarded(kFailed, [&] {
    const Block& block = fields_.block();
    check_count(inputs, inputs_of(block, block.frames).size());
    const std::vector<TensorSpec> specs = outputs_of(block, block.frames);
    if (outputs != static_cast<std::int32_t>(specs.size())) {
      refuse("gives " + std::to_string(specs.size()) + " tensors, not " + std::to_string(outputs));
    }
    if (in[kX].nbDims != 2) {
      refuse("takes frames of two dimensions, not " + std::to_string(in[kX].nbDims));
    }
    for (std::size_t i = 0; i < specs.size(); ++i) {
      out[i].nbDims = static_cast<std::int32_t>(specs[i].dims.size());
      for (std::int32_t axis = 0; axis < out[i].nbDims; ++axis) {
        out[i].d[axis] = builder.constant(specs[i].dims[static_cast<std::size_t>(axis)]);
      }
    }
    // Only the first dimension, which depends on the number of frames, is still to be set.
    const nvinfer1::IDimensionExpr& rows = *in[kX].d[0];
    const auto combine = [&](DimensionOperation operation, const nvinfer1::IDimensionExpr& value,
                             std::int64_t by) -> const nvinfer1::IDimensionExpr& {
      return *builder.operation(operation, value, *builder.constant(by));
    };
    const SumsRoom room = room_for_sums(output_of(block));
    const auto& pixels = combine(DimensionOperation::kPROD, rows, room.pixels);
    const auto& tiles = combine(DimensionOperation::kCEIL_DIV, pixels, kSmallestTile);
    out[0].d[0] = &rows;
    out[1].d[0] = &combine(DimensionOperation::kPROD, tiles, room.segments);
    if (specs.size() > 2) {
      out[2].d[0] = &combine(DimensionOperation::kFLOOR_DIV, rows, block.frames);
    }
    return 0;
  });
}

bool BlockPlugin::supportsFormatCombination(std::int32_t position,
                                            const nvinfer1::DynamicPluginTensorDesc* tensors,
                                            std::int32_t inputs, std::int32_t outputs) noexcept {
  return guarded(false, [&] {
    const Block& block = fields_.block();
    std::vector<TensorSpec> specs = inputs_of(block, block.frames);
    check_count(inputs, specs.size());
    const std::vector<TensorSpec> given = outputs_of(block, block.frames);
    specs.insert(specs.end(), given.begin(), given.end());
    if (position < 0 || position >= inputs + outputs ||
        position >= static_cast<std::int32_t>(specs.size())) {
      return false;
    }
    const nvinfer1::PluginTensorDesc& asked = tensors[position].desc;
    const DataType stored = tensors[kX].desc.type;
    return asked.format == TensorFormat::kLINEAR &&
           (stored == DataType::kFLOAT || stored == DataType::kHALF) &&
           asked.type == type_of(specs[static_cast<std::size_t>(position)].element, stored);
  });
}

std::size_t BlockPlugin::getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* in, std::int32_t,
                                          const nvinfer1::DynamicPluginTensorDesc*,
                                          std::int32_t) const noexcept {
  // A block that cannot be planned wants more memory than there is: TensorRT would take zero for a
  // size.
  return guarded(std::numeric_limits<std::size_t>::max() / 4, [&] {
    return make_plan(of_type(in[kX].desc.type), rows_of(in[kX].max)).workspace_bytes;
  });
}

const BlockPlugin::Planned& BlockPlugin::plan_for(const nvinfer1::PluginTensorDesc& x) {
  const Block block = of_type(x.type);
  const std::int64_t rows = rows_of(x.dims);
  if (!planned_ || planned_->rows != rows || planned_->half != block.half) {
    planned_.reset();
    planned_ = Planned{block.half, rows, make_plan(block, rows)};
  }
  return *planned_;
}

std::int32_t BlockPlugin::onShapeChange(const nvinfer1::PluginTensorDesc* in, std::int32_t inputs,
                                        const nvinfer1::PluginTensorDesc*, std::int32_t) noexcept {
  return guarded(kFailed, [&] {
    const Block block = of_type(in[kX].type);
    check_count(inputs, inputs_of(block, block.frames).size());
    std::vector<nvinfer1::Dims> dims;
    for (std::int32_t i = 0; i < inputs; ++i) {
      dims.push_back(in[i].dims);
    }
    check_inputs(block, dims);
    for (const Launch& launch : plan_for(in[kX]).plan.launches) {
      load(*launch.kernel);
    }
    return 0;
  });
}

std::int32_t BlockPlugin::enqueue(const nvinfer1::PluginTensorDesc* in,
                                  const nvinfer1::PluginTensorDesc*, const void* const* inputs,
                                  void* const* outputs, void* workspace,
                                  cudaStream_t stream) noexcept {
  return guarded(kFailed, [&] {
    const Planned& planned = plan_for(in[kX]);
    const Block block = of_type(in[kX].type);
    std::map<Tensor, std::uintptr_t> bases{
        {Tensor::none, 0}, {Tensor::workspace, reinterpret_cast<std::uintptr_t>(workspace)}};
    const std::vector<TensorSpec> taken = inputs_of(block, planned.rows);
    for (std::size_t i = 0; i < taken.size(); ++i) {
      bases[taken[i].tensor] = reinterpret_cast<std::uintptr_t>(inputs[i]);
    }
    const std::vector<TensorSpec> given = outputs_of(block, planned.rows);
    for (std::size_t i = 0; i < given.size(); ++i) {
      bases[given[i].tensor] = reinterpret_cast<std::uintptr_t>(outputs[i]);
    }
    for (const Launch& launch : planned.plan.launches) {
      const LoadedKernel kernel = load(*launch.kernel);
      std::vector<std::uint64_t> values;
      for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
        const Argument& argument = launch.arguments[i];
        values.push_back(bases.at(argument.tensor) + static_cast<std::uint64_t>(argument.value));
        const Parameter& parameter = launch.kernel->parameters[i];
        if (parameter.is_address && parameter.multiple_of_16 &&
            values.back() % kAddressAlignment != 0) {
          refuse("was given a tensor, " + std::string(parameter.name) +
                 ", that does not begin at a multiple of 16 bytes");
        }
      }
      // The driver reads as many bytes as a parameter has; the low 32 bits of a value come first.
      std::vector<void*> pointers;
      for (std::uint64_t& value : values) {
        pointers.push_back(&value);
      }
      ADAFUSE_CUDA(cuLaunchKernel, kernel.function, launch.grid[0], launch.grid[1], launch.grid[2],
                   launch.kernel->threads, 1, 1, kernel.shared_bytes,
                   reinterpret_cast<CUstream>(stream), pointers.data(), nullptr);
    }
    return 0;
  });
}

}  // namespace adafuse::plugin
