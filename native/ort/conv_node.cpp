#include "ort/conv_node.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace adafuse {
namespace {

constexpr std::size_t kInput = 0;
constexpr std::size_t kWeight = 1;
constexpr std::size_t kBias = 2;

// Throws std::invalid_argument where the tensors do not fit each other.
ConvShape make_shape(const Dims& x, const Dims& weight, const ConvAttributes& attributes) {
  const auto require = [&](bool condition, const char* rule) {
    if (!condition) {
      throw std::invalid_argument("W " + to_string(weight) + " does not fit X " + to_string(x) +
                                  ": " + rule + ".");
    }
  };
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  ConvShape shape;
  shape.frames = x[0] < 0 ? 0 : size(x[0]);
  shape.in_channels = size(x[1]);
  shape.in_height = size(x[2]);
  shape.in_width = size(x[3]);
  shape.out_channels = size(weight[0]);
  shape.kernel_height = size(weight[2]);
  shape.kernel_width = size(weight[3]);
  shape.stride_y = size(attributes.strides[0]);
  shape.stride_x = size(attributes.strides[1]);
  shape.pad_top = size(attributes.pads[0]);
  shape.pad_left = size(attributes.pads[1]);
  shape.pad_bottom = size(attributes.pads[2]);
  shape.pad_right = size(attributes.pads[3]);
  require(weight[1] == x[1], "the second dimensions, the input channels, must be equal");
  require(shape.taps() > 0 && shape.kernel_height <= shape.padded_height() &&
              shape.kernel_width <= shape.padded_width(),
          "the kernel must lie within the padded frame");
  require(checked_product({shape.in_channels, shape.taps()}) <=
              std::numeric_limits<std::uint32_t>::max(),
          "an output channel must have fewer than 2^32 weights");
  return shape;
}

Dims result_dims(std::int64_t rows, const ConvShape& shape) {
  return {rows, static_cast<std::int64_t>(shape.out_channels),
          static_cast<std::int64_t>(shape.out_height()),
          static_cast<std::int64_t>(shape.out_width())};
}

// A list of `count` integers in bounds.
std::vector<std::int64_t> read_list(const Attributes& attributes, const char* name,
                                    std::size_t count, std::int64_t least, std::int64_t most) {
  const std::vector<std::int64_t> values = attributes.integers(name);
  if (values.size() != count || !std::all_of(values.begin(), values.end(), [=](std::int64_t v) {
        return least <= v && v <= most;
      })) {
    throw std::invalid_argument(std::string(name) + " are " + to_string(values) + " but must be " +
                                std::to_string(count) + " numbers from " + std::to_string(least) +
                                " to " + std::to_string(most) + ".");
  }
  return values;
}

}  // namespace

ConvAttributes ConvAttributes::read(const Attributes& attributes) {
  return {read_list(attributes, "strides", 2, 1, static_cast<std::int64_t>(kMostSize)),
          read_list(attributes, "pads", 4, 0, kMostPad)};
}

ConvInputs::ConvInputs(const Ort::KernelContext& context, const ConvAttributes& attributes)
    : x(context, kInput, "X", 4), weight(context, kWeight, "W", 4), bias(context, kBias, "B", 1) {
  shape = make_shape(x.dims, weight.dims, attributes);
  require(bias.size(0) == shape.out_channels, bias, weight, "one bias per output channel");
}

Dims ConvInputs::output_dims() const {
  return result_dims(x.dims[0], shape);
}

std::optional<KnownShape> infer_conv(OrtShapeInferContext* context) {
  const ConvAttributes attributes = ConvAttributes::read(Attributes(context));
  const auto x = known_shape(context, kInput, 4), weight = known_shape(context, kWeight, 4);
  if (!x || !weight || weight->dims[0] < 0) {
    return std::nullopt;
  }
  return KnownShape{result_dims(x->dims[0], make_shape(x->dims, weight->dims, attributes)),
                    x->rows_name};
}

}  // namespace adafuse
