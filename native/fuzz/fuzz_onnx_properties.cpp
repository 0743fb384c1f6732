// The Protocol Buffers of an ONNX file, as far as the C++ runtime reads them.
#include "adafuse/errors.hpp"
#include "fuzz/input_file.h"
#include "fuzz/target.h"
#include "runtime/src/onnx_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static adafuse::fuzz::InputFile file("model.onnx");
  try {
    adafuse::read_onnx_properties(file.write(data, size));
  } catch (const adafuse::InputError&) {
  }
  return 0;
}
