#include "tensorrt/block_tensors.h"

#include "tensorrt/block_sums.h"

namespace adafuse::plugin {

std::vector<TensorSpec> inputs_of(const Block& block, std::int64_t rows) {
  const Frames x = input_of(block);
  const std::int64_t in = block.channels_in, mid = block.channels, out = block.channels_out;
  std::vector<TensorSpec> specs{{Tensor::x, Element::stored, {rows, x.size()}},
                                {Tensor::weight1, Element::stored, {mid + 1, block.taps() * in}},
                                {Tensor::bias1, Element::float32, {mid + 1}},
                                {Tensor::weight2, Element::stored, {9, mid + 1, mid}},
                                {Tensor::bias2, Element::float32, {mid}}};
  const auto add = [&](Tensor tensor, Element element, std::vector<std::int64_t> dims) {
    specs.push_back({tensor, element, std::move(dims)});
  };
  if (block.bottleneck) {
    add(Tensor::weight3, Element::stored, {out, mid});
    add(Tensor::bias3, Element::float32, {out});
  }
  if (block.project) {
    add(Tensor::shortcut, Element::stored, {out, in});
  }
  if (block.hidden == 0) {
    add(Tensor::policy, Element::int32, {rows / block.frames, block.frames, mid});
    return specs;
  }
  add(Tensor::gate_weight0, Element::stored, {block.hidden, 2 * in});
  add(Tensor::gate_bias0, Element::float32, {block.hidden});
  add(Tensor::gate_weight1, Element::stored, {3 * mid, block.hidden});
  add(Tensor::gate_bias1, Element::float32, {3, mid});
  if (block.summed) {
    add(Tensor::x_sums, Element::float32, {room_for_sums(x).rows(rows), in});
  }
  return specs;
}

std::vector<TensorSpec> outputs_of(const Block& block, std::int64_t rows) {
  const Frames y = output_of(block);
  std::vector<TensorSpec> specs{
      {Tensor::y, Element::stored, {rows, y.size()}},
      {Tensor::sums, Element::float32, {room_for_sums(y).rows(rows), block.channels_out}}};
  if (block.hidden > 0) {
    specs.push_back(
        {Tensor::policy, Element::int32, {rows / block.frames, block.frames, block.channels}});
  }
  return specs;
}

}  // namespace adafuse::plugin
