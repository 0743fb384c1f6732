// The .npy files of the examples, as float32 and as uint8.
#include "fuzz/input_file.h"
#include "fuzz/target.h"
#include "runtime/examples/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static adafuse::fuzz::InputFile file("clip.npy");
  const std::string path = file.write(data, size);
  try {
    npy::read<float>(path);
  } catch (const adafuse::InputError&) {
  }
  try {
    npy::read<std::uint8_t>(path);
  } catch (const adafuse::InputError&) {
  }
  return 0;
}
