// Recognises normalised clips float32 (N, T, 3, H, W) and writes their logits float32 (N, K); into
// a folder also the frames' logits float32 (N, T, K) and every gate's policy uint8 (N, T, C).
#include <adafuse/engine.hpp>
#include <cinttypes>

#include "npy.h"
#include "program.h"

int main(int argc, char** argv) {
  return run_program(
      argc, argv, 3, 4, "MODEL.onnx INPUT.npy OUTPUT.npy [DETAILS_FOLDER]", [](const auto& names) {
        const adafuse::Engine engine(names[0]);
        const adafuse::Prediction result = engine.run(npy::read<float>(names[1]));
        npy::write(names[2], result.logits);
        if (names.size() == 4) {
          npy::write(names[3] + "/frame_logits.npy", result.frame_logits);
          for (std::size_t gate = 0; gate < result.policies.size(); ++gate) {
            npy::write(names[3] + "/policy_" + std::to_string(gate) + ".npy",
                       result.policies[gate]);
          }
        }
        for (std::size_t clip = 0; clip < result.macs.size(); ++clip) {
          const std::string label = engine.metadata().label(result.top(clip, 1)[0]);
          std::printf("clip %zu: %s, %" PRId64 " MACs\n", clip, label.c_str(), result.macs[clip]);
        }
      });
}
