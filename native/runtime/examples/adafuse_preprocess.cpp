// Makes network input float32 (3, H, W) of a decoded RGB frame uint8 (height, width, 3).
#include <adafuse/engine.hpp>

#include "npy.h"
#include "program.h"

int main(int argc, char** argv) {
  return run_program(argc, argv, 3, 3, "MODEL.onnx FRAME.npy OUTPUT.npy", [](const auto& names) {
    const auto image = npy::read<std::uint8_t>(names[1]);
    if (image.shape.size() != 3 || image.shape[2] != 3) {
      throw adafuse::InputError(names[1] + " must have shape (height, width, 3).");
    }
    const adafuse::Frame frame{image.values.data(), static_cast<int>(image.shape[0]),
                               static_cast<int>(image.shape[1])};
    npy::write(names[2],
               adafuse::preprocess(frame, adafuse::read_metadata(names[0]).preprocessing));
  });
}
