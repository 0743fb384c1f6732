#include "onnxruntime/conv_node.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace adafuse {
namespace {

constexpr std::size_t kInput = 0;
constexpr std::size_t kWeight = 1;
constexpr std::size_t kBias = 2;

ConvShape make_shape(const NamedTensor& x, const NamedTensor& weight,
                     const ConvAttributes& attributes) {
  const auto stride = [&](std::size_t i) {
    return static_cast<std::size_t>(attributes.strides[i]);
  };
  const auto pad = [&](std::size_t i) { return static_cast<std::size_t>(attributes.pads[i]); };
  ConvShape shape;
  shape.rows = x.size(0);
  shape.in_channels = x.size(1);
  shape.in_height = x.size(2);
  shape.in_width = x.size(3);
  shape.out_channels = weight.size(0);
  shape.kernel_height = weight.size(2);
  shape.kernel_width = weight.size(3);
  shape.stride_y = stride(0);
  shape.stride_x = stride(1);
  shape.pad_top = pad(0);
  shape.pad_left = pad(1);
  shape.pad_bottom = pad(2);
  shape.pad_right = pad(3);
  require(weight.size(1) == shape.in_channels, weight, x,
          "the second dimensions, the input channels, must be equal");
  require(shape.taps() > 0 && shape.kernel_height <= shape.padded_height() &&
              shape.kernel_width <= shape.padded_width(),
          weight, x, "the kernel must lie within the padded frame");
  require(shape.in_channels * shape.taps() <= std::numeric_limits<std::uint32_t>::max(), weight, x,
          "an output channel must have fewer than 2^32 weights");
  return shape;
}

// Dimension of the output along one axis, for a frame and a kernel of known size.
std::int64_t out_size(std::int64_t in, std::int64_t pads, std::int64_t kernel,
                      std::int64_t stride) {
  return (in + pads - kernel) / stride + 1;
}

}  // namespace

ConvAttributes ConvAttributes::read(const OrtKernelInfo* info) {
  const auto list = [info](const char* name) {
    try {
      return Ort::ConstKernelInfo(info).GetAttributes<std::int64_t>(name);
    } catch (const Ort::Exception&) {
      throw std::invalid_argument(std::string("the attribute ") + name +
                                  " is missing or no list of integers.");
    }
  };
  const ConvAttributes attributes{list("strides"), list("pads")};
  attributes.validate();
  return attributes;
}

void ConvAttributes::validate() const {
  const auto at_least = [](std::int64_t least) {
    return [least](std::int64_t value) { return value >= least; };
  };
  if (strides.size() != 2 || !std::all_of(strides.begin(), strides.end(), at_least(1))) {
    throw std::invalid_argument("strides are " + to_string(strides) +
                                " but must be two positive numbers.");
  }
  if (pads.size() != 4 || !std::all_of(pads.begin(), pads.end(), at_least(0))) {
    throw std::invalid_argument("pads are " + to_string(pads) +
                                " but must be four numbers, none negative.");
  }
}

ConvInputs::ConvInputs(const Ort::KernelContext& context, const ConvAttributes& attributes)
    : x(context, kInput, "X", 4), weight(context, kWeight, "W", 4), bias(context, kBias, "B", 1) {
  shape = make_shape(x, weight, attributes);
  require(bias.size(0) == shape.out_channels, bias, weight, "one bias per output channel");
}

Dims ConvInputs::output_dims() const {
  return {x.dims[0], weight.dims[0], static_cast<std::int64_t>(shape.out_height()),
          static_cast<std::int64_t>(shape.out_width())};
}

std::optional<ConvResult> infer_conv(OrtShapeInferContext* raw_context) {
  Ort::ShapeInferContext context(&Ort::GetApi(), raw_context);
  const ConvAttributes attributes{context.GetAttrInts("strides"), context.GetAttrInts("pads")};
  attributes.validate();
  const Ort::ShapeInferContext::Shape& x = context.GetInputShape(kInput);
  const Ort::ShapeInferContext::Shape& weight = context.GetInputShape(kWeight);
  if (x.size() != 4 || weight.size() != 4) {
    return std::nullopt;
  }
  const auto known = [](const Ort::ShapeInferContext::SymbolicInteger& dim) {
    return dim.IsInt() && dim.AsInt() >= 0;
  };
  const bool rows_are_named = !x[0].IsInt();
  if (!(known(x[0]) || rows_are_named) || !std::all_of(x.begin() + 2, x.end(), known) ||
      !std::all_of(weight.begin(), weight.end(), known)) {
    return std::nullopt;
  }
  const auto& [strides, pads] = attributes;
  const std::int64_t height =
      out_size(x[2].AsInt(), pads[0] + pads[2], weight[2].AsInt(), strides[0]);
  const std::int64_t width =
      out_size(x[3].AsInt(), pads[1] + pads[3], weight[3].AsInt(), strides[1]);
  return ConvResult{{rows_are_named ? -1 : x[0].AsInt(), weight[0].AsInt(), height, width},
                    rows_are_named ? x[0].AsSym() : ""};
}

}  // namespace adafuse
