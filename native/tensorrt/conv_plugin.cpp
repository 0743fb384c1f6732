#include "tensorrt/conv_plugin.h"

#include <cuda.h>

#include <stdexcept>
#include <string>

#include "cuda_driver/driver.h"
#include "tensorrt/modules.h"
#include "tensorrt/report.h"

namespace adafuse::plugin {
namespace {

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::PluginFieldType;
using nvinfer1::TensorFormat;

constexpr std::int32_t kFailed = 1;
constexpr std::int32_t kX = 0, kWeight = 1, kBias = 2, kFirstPolicy = 3;
constexpr std::int64_t kMostVolume = 0x7fffffff;
constexpr std::uintptr_t kAddressAlignment = 16;  // bytes

struct WeightAxes {
  int out, in, height, width;
};

WeightAxes weight_axes(bool packed, bool skipping) {
  if (!packed) {
    return {0, 1, 2, 3};
  }
  return skipping ? WeightAxes{3, 2, 0, 1} : WeightAxes{0, 3, 1, 2};
}

// Counts inputs of GatedConv and SkipConv: X, W, B, and one policy or, for GatedConv, two.
void check_inputs(Operator kind, std::int32_t inputs) {
  const std::int32_t most = kind == Operator::gated_conv ? 5 : 4;
  if (inputs < 4 || inputs > most) {
    throw std::runtime_error(std::string(name_of(kind)) + " has " + std::to_string(inputs) +
                             " inputs; export the graph again with this adafuse-deploy");
  }
}

// Sizes of which products fit into 64 bits, as TensorRT's own volumes do.
void check_dims(const std::string& name, const nvinfer1::Dims& dims, std::int32_t rank) {
  if (dims.nbDims != rank) {
    throw std::runtime_error(
        name + " takes frames and weights of four dimensions, biases of one and policies of three");
  }
  std::int64_t volume = 1;
  for (std::int32_t axis = 0; axis < rank; ++axis) {
    if (dims.d[axis] < 1 || dims.d[axis] > kMostVolume / volume) {
      throw std::runtime_error(name + " takes tensors of 1 to 2^31 - 1 numbers");
    }
    volume *= dims.d[axis];
  }
}

}  // namespace

const char* name_of(Operator kind) {
  return kind == Operator::gated_conv ? "GatedConv" : "SkipConv";
}

ConvPlugin::ConvPlugin(Operator kind, const ConvAttributes& attributes)
    : kind_(kind),
      attributes_(attributes),
      fields_{{{"strides", attributes_.strides.data(), PluginFieldType::kINT32, 2},
               {"pads", attributes_.pads.data(), PluginFieldType::kINT32, 4},
               {"packed", &attributes_.packed, PluginFieldType::kINT32, 1}}},
      collection_{static_cast<std::int32_t>(fields_.size()), fields_.data()} {}

ConvPlugin::ConvPlugin(const ConvPlugin& other) : ConvPlugin(other.kind_, other.attributes_) {}

nvinfer1::IPluginCapability* ConvPlugin::getCapabilityInterface(
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

nvinfer1::IPluginV3* ConvPlugin::clone() noexcept {
  return guarded<>(static_cast<nvinfer1::IPluginV3*>(nullptr),
                   [&]() -> nvinfer1::IPluginV3* { return new ConvPlugin(*this); });
}

bool ConvPlugin::skipping(std::int32_t inputs) const {
  return kind_ == Operator::skip_conv || inputs == 5;
}

ConvProblem ConvPlugin::problem(const std::vector<nvinfer1::Dims>& tensors, DataType type,
                                TensorFormat format) const {
  const auto inputs = static_cast<std::int32_t>(tensors.size());
  const std::string name = name_of(kind_);
  check_inputs(kind_, inputs);
  for (std::int32_t i = 0; i < inputs; ++i) {
    check_dims(name, tensors[static_cast<std::size_t>(i)],
               i == kBias         ? 1
               : i < kFirstPolicy ? 4
                                  : 3);
  }
  const nvinfer1::Dims &x = tensors[kX], &weight = tensors[kWeight], &bias = tensors[kBias];
  const nvinfer1::Dims& policy = tensors[kFirstPolicy];
  const WeightAxes axes = weight_axes(attributes_.packed != 0, skipping(inputs));
  ConvProblem result;
  result.half = type == DataType::kHALF;
  result.layout = format == TensorFormat::kLINEAR ? Layout::nchw : Layout::nhwc;
  result.gated = kind_ == Operator::gated_conv;
  result.skipping = skipping(inputs);
  result.packed = attributes_.packed != 0;
  result.clips = policy.d[0];
  result.frames = policy.d[1];
  result.channels_in = x.d[1];
  result.channels_out = weight.d[axes.out];
  result.height = x.d[2];
  result.width = x.d[3];
  result.kernel_h = weight.d[axes.height];
  result.kernel_w = weight.d[axes.width];
  result.stride_h = attributes_.strides[0];
  result.stride_w = attributes_.strides[1];
  for (std::size_t side = 0; side < result.pads.size(); ++side) {
    result.pads[side] = attributes_.pads[side];
  }
  bool fits = weight.d[axes.in] == result.channels_in && bias.d[0] == result.channels_out &&
              x.d[0] == result.rows();
  for (std::int32_t i = kFirstPolicy; i < inputs; ++i) {
    const nvinfer1::Dims& decisions = tensors[static_cast<std::size_t>(i)];
    const bool over_outputs = result.gated && i == kFirstPolicy;
    fits = fits && decisions.d[0] == result.clips && decisions.d[1] == result.frames &&
           decisions.d[2] == (over_outputs ? result.channels_out : result.channels_in);
  }
  if (!fits) {
    throw std::runtime_error(name +
                             "'s frames, weights, biases and policies do not fit each other");
  }
  if (result.height_out() > 0 && result.width_out() > 0) {  // make_plan() refuses others
    check_dims(name, {4, {x.d[0], result.channels_out, result.height_out(), result.width_out()}},
               4);
  }
  return result;
}

std::int32_t ConvPlugin::configurePlugin(const nvinfer1::DynamicPluginTensorDesc*,
                                         std::int32_t inputs,
                                         const nvinfer1::DynamicPluginTensorDesc*,
                                         std::int32_t) noexcept {
  return guarded(kFailed, [&] {
    check_inputs(kind_, inputs);
    return 0;
  });
}

std::int32_t ConvPlugin::getOutputDataTypes(DataType* output_types, std::int32_t,
                                            const DataType* input_types,
                                            std::int32_t) const noexcept {
  output_types[0] = input_types[kX];
  return 0;
}

std::int32_t ConvPlugin::getOutputShapes(const nvinfer1::DimsExprs* in, std::int32_t inputs,
                                         const nvinfer1::DimsExprs*, std::int32_t,
                                         nvinfer1::DimsExprs* out, std::int32_t,
                                         nvinfer1::IExprBuilder& builder) noexcept {
  return guarded(kFailed, [&] {
    check_inputs(kind_, inputs);
    if (in[kX].nbDims != 4 || in[kWeight].nbDims != 4) {
      throw std::runtime_error(std::string(name_of(kind_)) +
                               " takes frames and weights of four dimensions");
    }
    const WeightAxes axes = weight_axes(attributes_.packed != 0, skipping(inputs));
    const auto& weight = in[kWeight];
    // (size + pads - kernel) / stride + 1
    const auto extent = [&](const nvinfer1::IDimensionExpr& size,
                            const nvinfer1::IDimensionExpr& kernel, std::int32_t pads,
                            std::int32_t stride) {
      const auto* padded =
          builder.operation(DimensionOperation::kSUM, size, *builder.constant(pads));
      const auto* room = builder.operation(DimensionOperation::kSUB, *padded, kernel);
      const auto* steps =
          builder.operation(DimensionOperation::kFLOOR_DIV, *room, *builder.constant(stride));
      return builder.operation(DimensionOperation::kSUM, *steps, *builder.constant(1));
    };
    const auto& pads = attributes_.pads;
    out[0].nbDims = 4;
    out[0].d[0] = in[kX].d[0];
    out[0].d[1] = weight.d[axes.out];
    out[0].d[2] =
        extent(*in[kX].d[2], *weight.d[axes.height], pads[0] + pads[2], attributes_.strides[0]);
    out[0].d[3] =
        extent(*in[kX].d[3], *weight.d[axes.width], pads[1] + pads[3], attributes_.strides[1]);
    return 0;
  });
}

bool ConvPlugin::supportsFormatCombination(std::int32_t position,
                                           const nvinfer1::DynamicPluginTensorDesc* tensors,
                                           std::int32_t inputs, std::int32_t) noexcept {
  const nvinfer1::PluginTensorDesc& x = tensors[kX].desc;
  const nvinfer1::PluginTensorDesc& asked = tensors[position].desc;
  const bool linear = asked.format == TensorFormat::kLINEAR;
  if (position == kX) {
    return (asked.type == DataType::kFLOAT && (linear || asked.format == TensorFormat::kHWC)) ||
           (asked.type == DataType::kHALF && (linear || asked.format == TensorFormat::kHWC8));
  }
  if (position == inputs) {  // the only output
    return asked.type == x.type && asked.format == x.format;
  }
  if (position >= kFirstPolicy) {
    return asked.type == DataType::kINT32 && linear;
  }
  return asked.type == x.type && linear;
}

std::size_t ConvPlugin::getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* in,
                                         std::int32_t inputs,
                                         const nvinfer1::DynamicPluginTensorDesc*,
                                         std::int32_t) const noexcept {
  return guarded(std::size_t{0}, [&] {
    std::vector<nvinfer1::Dims> largest;
    for (std::int32_t i = 0; i < inputs; ++i) {
      largest.push_back(in[i].max);
    }
    return make_plan(problem(largest, in[kX].desc.type, in[kX].desc.format)).workspace_bytes;
  });
}

std::int32_t ConvPlugin::onShapeChange(const nvinfer1::PluginTensorDesc* in, std::int32_t inputs,
                                       const nvinfer1::PluginTensorDesc*, std::int32_t) noexcept {
  return guarded(kFailed, [&] {
    std::vector<nvinfer1::Dims> dims;
    for (std::int32_t i = 0; i < inputs; ++i) {
      dims.push_back(in[i].dims);
    }
    const ConvProblem wanted = problem(dims, in[kX].type, in[kX].format);
    if (!planned_ || !(*planned_ == wanted)) {
      plan_ = make_plan(wanted);
      planned_ = wanted;
    }
    return 0;
  });
}

std::int32_t ConvPlugin::enqueue(const nvinfer1::PluginTensorDesc*,
                                 const nvinfer1::PluginTensorDesc*, const void* const* inputs,
                                 void* const* outputs, void* workspace,
                                 cudaStream_t stream) noexcept {
  return guarded(kFailed, [&] {
    if (!planned_) {
      throw std::runtime_error("enqueue comes before onShapeChange");
    }
    const auto address = [](const void* pointer) {
      return reinterpret_cast<std::uintptr_t>(pointer);
    };
    const auto base = [&](Tensor tensor) -> std::uintptr_t {
      switch (tensor) {
        case Tensor::x:
          return address(inputs[kX]);
        case Tensor::weight:
          return address(inputs[kWeight]);
        case Tensor::bias:
          return address(inputs[kBias]);
        case Tensor::policy:
          return address(inputs[kFirstPolicy]);
        case Tensor::input_policy:
          return address(inputs[kFirstPolicy + (planned_->gated ? 1 : 0)]);
        case Tensor::y:
          return address(outputs[0]);
        case Tensor::workspace:
          return address(workspace);
        case Tensor::none:
          break;
      }
      return 0;
    };
    for (const Launch& launch : plan_.launches) {
      const LoadedKernel kernel = load(*launch.kernel);
      std::vector<std::uint64_t> values;
      for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
        const Argument& argument = launch.arguments[i];
        values.push_back(base(argument.tensor) + static_cast<std::uint64_t>(argument.value));
        const Parameter& parameter = launch.kernel->parameters[i];
        if (parameter.is_address && parameter.multiple_of_16 &&
            values.back() % kAddressAlignment != 0) {
          throw std::runtime_error("TensorRT's " + std::string(parameter.name) +
                                   " does not begin at a multiple of 16 bytes");
        }
      }
      // The driver reads as many bytes as the parameter has; little-endian integers come first.
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
