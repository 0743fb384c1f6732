#include "tensorrt/launch_plan.h"

#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

namespace adafuse::plugin {
namespace {

constexpr std::int64_t kWorkspaceAlignment = 256;  // bytes
constexpr std::int64_t kCompactPadding = 64;       // channels
constexpr std::int64_t kLargestGrid = 65535;       // in y and z
constexpr std::int64_t kVector = 8;                // channels of TensorRT's kHWC8

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

// The rule of adafuse_deploy/ops/triton/tiles.py.
std::string choose_tile(std::int64_t pixels, std::int64_t channels, std::int64_t rows) {
  const std::int64_t columns = rows * ceil_div(channels, 64);
  if (pixels >= 512 && columns * ceil_div(pixels, 128) >= 200) {
    return "wide";
  }
  return columns * ceil_div(pixels, 64) >= 200 ? "square" : "narrow";
}

using Values = std::map<std::string, Argument>;

Argument number(std::int64_t value) {
  return {Tensor::none, value};
}

class Planner {
 public:
  explicit Planner(const ConvProblem& problem) : p_(problem), type_(p_.half ? "fp16" : "fp32") {
    if (p_.height_out() < 1 || p_.width_out() < 1) {
      throw std::runtime_error("The convolution's kernel is larger than its padded frames");
    }
  }

  LaunchPlan plan() {
    Argument weight{Tensor::weight, 0}, outputs{Tensor::none, 0}, inputs{Tensor::none, 0};
    Argument x{Tensor::x, 0};
    if (!p_.packed) {
      weight = pack();
    }
    if (p_.gated) {
      outputs = list_outputs();
    }
    std::int64_t x_stride = stride(p_.channels_in, p_.height * p_.width);
    std::int64_t x_frame = frame(p_.channels_in, p_.height * p_.width);
    if (p_.skipping) {
      const std::int64_t compact_stride = round_up(p_.channels_in, kCompactPadding);
      std::tie(inputs, x) = compact(x_frame, x_stride, compact_stride);
      x_stride = compact_stride;
      x_frame = p_.height * p_.width * compact_stride;
    }
    const std::int64_t pixels = p_.height_out() * p_.width_out();
    const std::string tile =
        layout() == "nhwc16" ? choose_tile(pixels, p_.channels_out, p_.rows()) : "square";
    const std::string kind = p_.gated && p_.skipping ? "gated_skipping"
                             : p_.gated              ? "gated"
                                                     : "skipping";
    const Kernel& kernel = find("conditional_conv_" + kind + "_" + layout() + "_" + tile);
    add(kernel, ceil_div(p_.channels_out, kernel.block_n), ceil_div(pixels, kernel.block_m),
        p_.rows(),
        {{"x", x},
         {"weight", weight},
         {"bias", {Tensor::bias, 0}},
         {"y", {Tensor::y, 0}},
         {"policy", p_.gated ? Argument{Tensor::policy, 0} : number(0)},
         {"outputs", outputs},
         {"inputs", inputs},
         {"frames", number(p_.frames)},
         {"channels_in", number(p_.channels_in)},
         {"channels_out", number(p_.channels_out)},
         {"height", number(p_.height)},
         {"width", number(p_.width)},
         {"height_out", number(p_.height_out())},
         {"width_out", number(p_.width_out())},
         {"kernel_h", number(p_.kernel_h)},
         {"kernel_w", number(p_.kernel_w)},
         {"stride_h", number(p_.stride_h)},
         {"stride_w", number(p_.stride_w)},
         {"pad_top", number(p_.pads[0])},
         {"pad_left", number(p_.pads[1])},
         {"x_frame", number(x_frame)},
         {"x_stride", number(x_stride)},
         {"y_frame", number(frame(p_.channels_out, pixels))},
         {"y_stride", number(stride(p_.channels_out, pixels))}});
    return std::move(result_);
  }

 private:
  Argument pack() {
    const Argument packed = reserve(p_.channels_out * p_.channels_in * taps() * element());
    const Kernel& kernel = find(p_.skipping ? "pack_weights_skipping" : "pack_weights_gated");
    add(kernel, ceil_div(p_.channels_out * p_.channels_in * taps(), kernel.block), 1, 1,
        {{"weight", {Tensor::weight, 0}},
         {"packed", packed},
         {"channels_out", number(p_.channels_out)},
         {"channels_in", number(p_.channels_in)},
         {"taps", number(taps())}});
    return packed;
  }

  Argument list_outputs() {
    const Argument outputs = reserve_list(p_.channels_out);
    add(find_kernel("list_outputs"), p_.rows(), 1, 1,
        {{"policy", {Tensor::policy, 0}},
         {"outputs", outputs},
         {"frames", number(p_.frames)},
         {"channels", number(p_.channels_out)}});
    return outputs;
  }

  // Returns the list and the values of the channels that are not zero.
  std::tuple<Argument, Argument> compact(std::int64_t x_frame, std::int64_t x_stride,
                                         std::int64_t compact_stride) {
    const Argument inputs = reserve_list(p_.channels_in);
    const std::int64_t pixels = p_.height * p_.width;
    const Argument compact = reserve(p_.rows() * pixels * compact_stride * element());
    const Kernel& kernel = find("compact_inputs_" + layout());
    add(kernel, ceil_div(pixels, kernel.block_m), p_.rows(), 1,
        {{"x", {Tensor::x, 0}},
         {"policy", {Tensor::input_policy, 0}},
         {"compact", compact},
         {"inputs", inputs},
         {"frames", number(p_.frames)},
         {"channels", number(p_.channels_in)},
         {"pixels", number(pixels)},
         {"x_frame", number(x_frame)},
         {"x_stride", number(x_stride)},
         {"compact_stride", number(compact_stride)}});
    return {inputs, compact};
  }

  std::int64_t taps() const { return p_.kernel_h * p_.kernel_w; }
  std::int64_t element() const { return p_.half ? 2 : 4; }

  std::string layout() const {
    if (p_.layout == Layout::nchw) {
      return "nchw";
    }
    return p_.channels_in % 16 == 0 && p_.channels_out % 16 == 0 ? "nhwc16" : "nhwc";
  }

  // Channels that a pixel has room for: TensorRT stores float16 in vectors of eight.
  std::int64_t room(std::int64_t channels) const {
    return p_.half ? round_up(channels, kVector) : channels;
  }
  std::int64_t stride(std::int64_t channels, std::int64_t pixels) const {
    return p_.layout == Layout::nhwc ? room(channels) : pixels;
  }
  std::int64_t frame(std::int64_t channels, std::int64_t pixels) const {
    return pixels * (p_.layout == Layout::nhwc ? room(channels) : channels);
  }

  const Kernel& find(const std::string& variant) const {
    return find_kernel((variant + "_" + type_).c_str());
  }

  Argument reserve_list(std::int64_t channels) { return reserve(p_.rows() * (channels + 1) * 4); }

  Argument reserve(std::int64_t bytes) {
    const auto offset = static_cast<std::int64_t>(result_.workspace_bytes);
    result_.workspace_bytes += static_cast<std::size_t>(round_up(bytes, kWorkspaceAlignment));
    return {Tensor::workspace, offset};
  }

  void add(const Kernel& kernel, std::int64_t x, std::int64_t y, std::int64_t z,
           const Values& values) {
    Launch launch{&kernel,
                  {static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)},
                  {}};
    if (y > kLargestGrid || z > kLargestGrid) {
      throw std::runtime_error("The convolution has more frames or pixels than a grid");
    }
    for (const Parameter& parameter : kernel.parameters) {
      if (std::strstr(parameter.name, "_scratch") != nullptr) {
        launch.arguments.push_back(number(0));  // Triton's own, of no use to these kernels
        continue;
      }
      const Argument argument = values.at(parameter.name);
      if (argument.tensor == Tensor::none &&
          argument.value > std::numeric_limits<std::int32_t>::max()) {
        throw std::runtime_error("The convolution's " + std::string(parameter.name) +
                                 " does not fit into 32 bits");
      }
      launch.arguments.push_back(argument);
    }
    result_.launches.push_back(std::move(launch));
  }

  const ConvProblem& p_;
  const std::string type_;
  LaunchPlan result_;
};

}  // namespace

bool ConvProblem::operator==(const ConvProblem& other) const {
  const auto all = [](const ConvProblem& p) {
    return std::tie(p.half, p.layout, p.gated, p.skipping, p.packed, p.clips, p.frames,
                    p.channels_in, p.channels_out, p.height, p.width, p.kernel_h, p.kernel_w,
                    p.stride_h, p.stride_w, p.pads);
  };
  return all(*this) == all(other);
}

LaunchPlan make_plan(const ConvProblem& problem) {
  return Planner(problem).plan();
}

}  // namespace adafuse::plugin
