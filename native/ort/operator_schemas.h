// Inputs and outputs of the operators, of adafuse_deploy/schema/operators.json, from which Python
// makes their nodes.
#pragma once

#include <cstddef>
#include <vector>

#include "ort/api.h"

namespace adafuse {

// The domain of all operators, as written in the ONNX files.
extern const char* const kDomain;

// The element type of an input that may have several, which the kernel checks itself.
constexpr ONNXTensorElementDataType kFloatingPoint = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;

struct ParameterSchema {
  ONNXTensorElementDataType type;
  bool optional;
};

struct OperatorSchema {
  const char* name;
  std::vector<ParameterSchema> inputs;
  std::vector<ParameterSchema> outputs;
};

// The schema lives as long as the library.  Throws std::logic_error where there is none.
const OperatorSchema& operator_schema(const char* name);

// An operator whose name, inputs and outputs are those of its schema.
template <typename Operator, typename Kernel>
class SchemaOperator : public Ort::CustomOpBase<Operator, Kernel, true> {
 public:
  const char* GetName() const { return schema_.name; }
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  std::size_t GetInputTypeCount() const { return schema_.inputs.size(); }
  ONNXTensorElementDataType GetInputType(std::size_t index) const {
    return schema_.inputs[index].type;
  }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(std::size_t index) const {
    return schema_.inputs[index].optional ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
  }
  std::size_t GetOutputTypeCount() const { return schema_.outputs.size(); }
  ONNXTensorElementDataType GetOutputType(std::size_t index) const {
    return schema_.outputs[index].type;
  }

 private:
  friend Operator;  // the only class that may derive from this instance
  explicit SchemaOperator(const char* name) : schema_(operator_schema(name)) {
    OrtCustomOp::version = kApiVersion;
  }

  const OperatorSchema& schema_;
};

}  // namespace adafuse
