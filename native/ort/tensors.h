// The tensors of a node, with their names in the operator's signature for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ort/api.h"
#include "policy/channel_selection.h"

namespace adafuse {

using Dims = std::vector<std::int64_t>;

std::string to_string(const Dims& dims);

// A tensor and its name; a view, valid while the node runs.
struct NamedTensor {
  std::string name;
  Ort::ConstValue value;
  Dims dims;

  // Throws std::invalid_argument unless it has `rank` dimensions, all of kMostSize at most.
  NamedTensor(Ort::ConstValue value, std::string name, std::size_t rank);
  // Input `index` of the node.  Throws std::invalid_argument where it is missing, too.
  NamedTensor(const Ort::KernelContext& context, std::size_t index, const std::string& name,
              std::size_t rank);

  std::size_t size(std::size_t axis) const { return static_cast<std::size_t>(dims[axis]); }
  std::string description() const { return name + " " + to_string(dims); }
};

// Whether weights are bfloat16 and not float32.  Throws std::invalid_argument where they are
// neither.
bool holds_bfloat16(const NamedTensor& weights);

// Throws std::invalid_argument, naming both tensors and the rule, unless the condition holds.
void require(bool condition, const NamedTensor& a, const NamedTensor& b, const char* rule);

// The policy for `channels` channels of the rows of `x`, or nothing when the input is absent.
std::optional<Policy> read_policy(const Ort::KernelContext& context,
                                  std::optional<std::size_t> index, const char* name,
                                  const NamedTensor& x, std::size_t channels);

// Throws std::invalid_argument, naming both, unless the policies of a node that are given have
// clips of as many frames.
using NamedPolicy = std::pair<std::string, const std::optional<Policy>*>;
void require_same_clips(const std::vector<NamedPolicy>& policies);

// Whether the node has an input of this number.
bool is_given(const Ort::KernelContext& context, std::size_t index);

// Output `index` of a node.  Throws std::invalid_argument where its size overflows.
Ort::UnownedValue make_output(const Ort::KernelContext& context, std::size_t index,
                              const Dims& dims);

// For shape inference: an input's dimensions, -1 for a first one that only has a name.
struct KnownShape {
  Dims dims;
  std::string rows_name;

  std::size_t size(std::size_t axis) const { return static_cast<std::size_t>(dims[axis]); }
};

// The shape of input `input`; nothing where it is not known or not of this rank.  Throws
// std::invalid_argument as NamedTensor does.
std::optional<KnownShape> known_shape(OrtShapeInferContext* context, std::size_t input,
                                      std::size_t rank);

// For shape inference: sets the shape of an output whose first dimension is called `first_name`
// where it is not known (-1).
void set_output_shape(OrtShapeInferContext* context, std::size_t output, const Dims& dims,
                      const char* first_name,
                      ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);

}  // namespace adafuse
