#include "tensorrt/block_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "tensorrt/block_sums.h"
#include "tensorrt/block_tiles.h"

namespace adafuse::plugin {
namespace {

constexpr std::int64_t kWorkspaceAlignment = 256;  // bytes
constexpr std::int64_t kLargestGrid = 65535;       // programs in y or z
constexpr std::int64_t kInt32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLine = 64;  // channels; pixels of compact frames are a multiple apart
// A frame's record of lists, in int32: counts in front, and input lists filled up to a multiple.
constexpr std::int64_t kCounts = 16, kFill = 64;
constexpr std::int64_t kMostChannels = 1023;  // that lists can hold
// Rows (frames) and columns (hidden units, channels) of the programs of gates and lists.
constexpr std::int64_t kGateRows = 16, kGateColumns = 64, kPolicyColumns = 16, kListRows = 2;
constexpr std::int64_t kFold = 8;      // channels that shifts are counted in
constexpr std::int64_t kSlots = 16;    // frames that a tile can have pixels of
constexpr std::int64_t kAligned = 16;  // divides parameters that were compiled as multiples of 16

std::int64_t round_up(std::int64_t a, std::int64_t b) {
  return ceil_div(a, b) * b;
}

Argument number(std::int64_t value) {
  return {Tensor::none, value};
}

Argument real(double value) {
  const auto single = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  return number(bits);
}

const Argument kNull{Tensor::none, 0};  // of parameters that a variant does not read

using Grid = std::array<std::int64_t, 3>;
using Values = std::map<std::string, Argument>;

class Planner {
 public:
  Planner(const Block& block, std::int64_t rows)
      : b_(block),
        rows_(rows),
        unit_(16 / block.element()),
        type_(block.half ? "fp16" : "fp32"),
        x_(input_of(block)),
        y_(output_of(block)),
        compact_{block.bottleneck ? x_.height : y_.height, block.bottleneck ? x_.width : y_.width,
                 round_up(block.channels + 2 * unit_, kLine), true},
        inputs_at_(kCounts + round_up(block.channels + 2 * unit_, 16)),
        record_(inputs_at_ + round_up(block.channels + 2 * unit_, kFill)) {
    check();
  }

  LaunchPlan plan() {
    if (b_.hidden > 0) {
      gate();
    } else {
      lists();
    }
    first();
    if (b_.bottleneck) {
      middle();
      last();
    } else {
      end();
    }
    return std::move(result_);
  }

 private:
  void check() const {
    const auto refuse = [](const std::string& words) {
      throw std::runtime_error("A residual block " + words);
    };
    if (rows_ < 1 || rows_ % b_.frames != 0) {
      refuse("takes whole clips of " + std::to_string(b_.frames) + " frames, not " +
             std::to_string(rows_) + " frames");
    }
    if (rows_ > kLargestGrid) {
      refuse("takes at most 65535 frames at a time, not " + std::to_string(rows_));
    }
    if (b_.channels > kMostChannels) {
      refuse("lists less than 1024 channels, not " + std::to_string(b_.channels));
    }
    if (std::max({x_.size(), y_.size(), compact_.size()}) > kInt32) {
      refuse("has frames that are too large for 32-bit distances");
    }
    if (b_.forward % kFold != 0 || b_.backward % kFold != 0) {
      refuse("shifts channels in eights");
    }
  }

  void gate() {
    Sums sums = sums_of_block(x_, rows_, b_.half);
    Argument x_sums{Tensor::x_sums, 0};
    if (!b_.summed) {
      sums = sums_of_frames(x_);
      x_sums = sum_input(sums);
    }
    const std::int64_t length = 2 * b_.channels_in;
    const std::int64_t splits = std::max<std::int64_t>(1, std::min<std::int64_t>(8, length / 256));
    const std::int64_t group_rows = std::max<std::int64_t>(1, kGateRows / b_.frames) * b_.frames;
    const std::int64_t groups = ceil_div(rows_, group_rows);
    const Argument partial = reserve(splits * rows_ * b_.hidden * 4);
    const Argument arrivals = reserve(groups * 4);
    lists_ = reserve(rows_ * record_ * 4);
    Values values{{"sums", x_sums},
                  {"weight", {Tensor::gate_weight0, 0}},
                  {"partial", partial},
                  {"arrivals", arrivals},
                  {"rows", number(rows_)},
                  {"frames", number(b_.frames)},
                  {"channels_in", number(b_.channels_in)},
                  {"hidden", number(b_.hidden)},
                  {"pixels", number(sums.pixels)},
                  {"tile_pixels", number(sums.tile_pixels)},
                  {"tiles", number(sums.tiles())},
                  {"segments", number(sums.segments)},
                  {"groups", number(groups)},
                  {"factor", real(1.0 / static_cast<double>(x_.pixels()))}};
    add_folds(values);
    add("gate_hidden" + shifted(true) + "_16x64x64",
        {ceil_div(b_.hidden, kGateColumns), ceil_div(rows_, kGateRows), splits}, values);
    add("gate_policy" + unit() + listed() + "_16x16x64",
        {ceil_div(b_.channels, kPolicyColumns), ceil_div(group_rows, kGateRows), groups},
        {{"partial", partial},
         {"scale_hidden", kNull},
         {"bias_hidden", {Tensor::gate_bias0, 0}},
         {"weight", {Tensor::gate_weight1, 0}},
         {"scale", kNull},
         {"bias", {Tensor::gate_bias1, 0}},
         {"policy", {Tensor::policy, 0}},
         {"arrivals", arrivals},
         {"lists", lists_},
         {"rows", number(rows_)},
         {"frames", number(b_.frames)},
         {"hidden", number(b_.hidden)},
         {"channels", number(b_.channels)},
         {"splits", number(splits)},
         {"group_rows", number(group_rows)},
         {"action0", number(b_.actions[0])},
         {"action1", number(b_.actions[1])},
         {"action2", number(b_.actions[2])},
         {"list_stride", number(record_)},
         {"inputs_at", number(inputs_at_)}});
  }

  Argument sum_input(const Sums& sums) {
    const Argument x_sums = reserve(sums.rows(rows_) * b_.channels_in * 4);
    add("sum_frames_32x64", {ceil_div(b_.channels_in, 64), sums.pixels / sums.tile_pixels, rows_},
        {{"x", {Tensor::x, 0}},
         {"sums", x_sums},
         {"channels", number(b_.channels_in)},
         {"width", number(x_.width)},
         {"pixels", number(x_.pixels())},
         {"pitch", number(x_.pitch())},
         {"first", number(x_.first())},
         {"frame", number(x_.size())}});
    return x_sums;
  }

  void lists() {
    lists_ = reserve(rows_ * record_ * 4);
    add("channel_lists" + unit() + listed(), {ceil_div(rows_, kListRows), 1, 1},
        {{"policy", {Tensor::policy, 0}},
         {"lists", lists_},
         {"rows", number(rows_)},
         {"frames", number(b_.frames)},
         {"channels", number(b_.channels)},
         {"list_stride", number(record_)},
         {"inputs_at", number(inputs_at_)}});
  }

  void first() {
    const Tile tile = choose_tile(b_.half, compact_.pixels(), b_.channels / 2, rows_);
    even(b_.channels_in, tile.k);
    compacted_ = reserve(rows_ * compact_.size() * b_.element());
    Values values{{"x", {Tensor::x, 0}},
                  {"weight", {Tensor::weight1, 0}},
                  {"scale", kNull},
                  {"bias", {Tensor::bias1, 0}},
                  {"compact", compacted_},
                  {"lists", lists_},
                  {"frames", number(b_.frames)},
                  {"channels_in", number(b_.channels_in)},
                  {"height", number(compact_.height)},
                  {"width", number(compact_.width)},
                  {"x_pitch", number(x_.pitch())},
                  {"x_frame", number(x_.size())},
                  {"compact_distance", number(compact_.distance)},
                  {"compact_frame", number(compact_.size())},
                  {"list_stride", number(record_)}};
    add_folds(values);
    const std::string geometry = b_.bottleneck ? "_taps1_stride1" : "_taps9" + stride();
    add("conv_listed_outputs" + geometry + unit() + shifted(true) + sized(tile),
        {ceil_div(b_.channels + unit_, tile.n), ceil_div(compact_.pixels(), tile.m) + 1, rows_},
        values);
  }

  void middle() {
    const Tile tile = choose_tile(b_.half, y_.pixels(), b_.channels, rows_);
    even(b_.channels, tile.n);
    middle_ = reserve(rows_ * y_.pixels() * b_.channels * b_.element());
    add("conv_listed_inputs" + stride() + unit() + sized(tile),
        {ceil_div(b_.channels, tile.n), ceil_div(y_.pixels(), tile.m), rows_},
        {{"compact", compacted_},
         {"weight", {Tensor::weight2, 0}},
         {"scale", kNull},
         {"bias", {Tensor::bias2, 0}},
         {"y", middle_},
         {"lists", lists_},
         {"channels", number(b_.channels)},
         {"height", number(y_.height)},
         {"width", number(y_.width)},
         {"pitch", number(compact_.pitch())},
         {"distance", number(compact_.distance)},
         {"compact_frame", number(compact_.size())},
         {"inputs_at", number(inputs_at_)},
         {"list_stride", number(record_)}});
  }

  void last() {
    const std::int64_t pixels = rows_ * y_.pixels();
    const Tile tile = choose_tile(b_.half, pixels, b_.channels_out, 1);
    even(b_.channels_out, tile.n);
    even(b_.channels, tile.k);
    even(b_.project ? b_.channels_in : 0, tile.k);
    const Sums sums = sums_of_block(y_, rows_, b_.half);
    if (sums.segments > kSlots) {
      throw std::runtime_error("A residual block gives frames of at least nine pixels");
    }
    Values values = at_the_end(Tensor::weight3, Tensor::bias3);
    values.insert({{"middle", middle_},
                   {"channels", number(b_.channels)},
                   {"channels_out", number(b_.channels_out)},
                   {"width_in", number(x_.width)},
                   {"width", number(y_.width)},
                   {"pixels", number(y_.pixels())},
                   {"all_pixels", number(pixels)},
                   {"segments", number(sums.segments)}});
    add("conv_last" + stride() + shifted(b_.project && b_.shift_shortcut) + projecting() +
            sized(tile),
        {ceil_div(b_.channels_out, tile.n), ceil_div(pixels, tile.m), 1}, values);
  }

  void end() {
    const Tile tile = choose_tile(b_.half, y_.pixels(), b_.channels, rows_);
    even(b_.channels_out, tile.n);
    even(b_.project ? b_.channels_in : 0, tile.k);
    Values values = at_the_end(Tensor::weight2, Tensor::bias2);
    values.insert({{"compact", compacted_},
                   {"lists", lists_},
                   {"channels", number(b_.channels)},
                   {"height", number(y_.height)},
                   {"width", number(y_.width)},
                   {"distance", number(compact_.distance)},
                   {"compact_frame", number(compact_.size())},
                   {"inputs_at", number(inputs_at_)},
                   {"list_stride", number(record_)},
                   {"x_pitch", number(x_.pitch())}});
    add("conv_listed_inputs_end" + stride() + unit() + shifted(b_.project && b_.shift_shortcut) +
            projecting() + sized(tile),
        {ceil_div(b_.channels, tile.n), ceil_div(y_.pixels(), tile.m) + 1, rows_}, values);
  }

  // Arguments that both kernels at the end of a block take.
  Values at_the_end(Tensor weight, Tensor bias) const {
    Values values{{"x", {Tensor::x, 0}},
                  {"weight", {weight, 0}},
                  {"scale", kNull},
                  {"bias", {bias, 0}},
                  {"shortcut", b_.project ? Argument{Tensor::shortcut, 0} : kNull},
                  {"shortcut_scale", kNull},
                  {"y", {Tensor::y, 0}},
                  {"sums", {Tensor::sums, 0}},
                  {"frames", number(b_.frames)},
                  {"channels_in", number(b_.channels_in)},
                  {"x_frame", number(x_.size())},
                  {"residual_scale", real(1.0)}};
    add_folds(values);
    return values;
  }

  void add_folds(Values& values) const {
    values["forward"] = number(b_.forward / kFold);
    values["backward"] = number(b_.backward / kFold);
  }

  // Parts of variants' names.
  std::string unit() const { return "_unit" + std::to_string(unit_); }
  std::string stride() const { return "_stride" + std::to_string(b_.stride); }
  std::string shifted(bool used) const { return used && b_.backward > 0 ? "_fold8" : ""; }
  std::string projecting() const { return b_.project ? "_project" : ""; }
  std::string listed() const {
    std::int64_t power = 16;
    while (power < b_.channels) {
      power *= 2;
    }
    return "_channels" + std::to_string(power);
  }
  static std::string sized(const Tile& tile) {
    return "_" + std::to_string(tile.m) + "x" + std::to_string(tile.n) + "x" +
           std::to_string(tile.k);
  }

  static void even(std::int64_t channels, std::int64_t of) {
    if (channels % of != 0) {
      throw std::runtime_error(
          "A residual block's numbers of channels fill its kernels' tiles, "
          "which " +
          std::to_string(channels) + " do not");
    }
  }

  Argument reserve(std::int64_t bytes) {
    const auto offset = static_cast<std::int64_t>(result_.workspace_bytes);
    result_.workspace_bytes += static_cast<std::size_t>(round_up(bytes, kWorkspaceAlignment));
    return {Tensor::workspace, offset};
  }

  void add(const std::string& variant, const Grid& grid, const Values& values) {
    const Kernel& kernel = find_kernel(("block_" + variant + "_" + type_).c_str());
    if (grid[0] > kInt32 || std::max(grid[1], grid[2]) > kLargestGrid) {
      throw std::runtime_error("A residual block has more frames or pixels than a grid");
    }
    Launch launch{&kernel,
                  {static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]),
                   static_cast<unsigned>(grid[2])},
                  {}};
    for (const Parameter& parameter : kernel.parameters) {
      if (std::strstr(parameter.name, "_scratch") != nullptr) {
        launch.arguments.push_back(kNull);  // Triton's own, of no use to these kernels
        continue;
      }
      const Argument argument = values.at(parameter.name);
      const std::string name = "A residual block's " + std::string(parameter.name);
      if (!parameter.is_address && !parameter.is_real && argument.value > kInt32) {
        throw std::runtime_error(name + " does not fit into 32 bits");
      }
      if (parameter.multiple_of_16 && argument.value % kAligned != 0) {
        throw std::runtime_error(name + " is no multiple of 16");
      }
      launch.arguments.push_back(argument);
    }
    result_.launches.push_back(std::move(launch));
  }

  const Block& b_;
  const std::int64_t rows_, unit_;
  const std::string type_;
  const Frames x_, y_, compact_;
  const std::int64_t inputs_at_, record_;
  Argument lists_ = kNull, compacted_ = kNull, middle_ = kNull;
  LaunchPlan result_;
};

}  // namespace

LaunchPlan make_plan(const Block& block, std::int64_t rows) {
  return Planner(block, rows).plan();
}

}  // namespace adafuse::plugin
