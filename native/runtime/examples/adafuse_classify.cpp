// Names the action in a video file: its five likeliest classes with their probabilities.
#include <adafuse/engine.hpp>
#include <adafuse/sampling.hpp>
#include <cinttypes>

#include "program.h"
#include "video.h"

int main(int argc, char** argv) {
  return run_program(
      argc, argv, 2, 3, "MODEL.onnx VIDEO.y4m|- [WIDTHxHEIGHT of raw RGB frames]",
      [](const auto& names) {
        const adafuse::Engine engine(names[0]);
        Video video(names[1], names.size() == 3 ? names[2] : "");
        // All frames are kept, because their number is known only at the end.
        std::vector<std::vector<std::uint8_t>> pixels;
        adafuse::Frame frame{};
        while (video.next(frame)) {
          const std::size_t size = std::size_t{3} * frame.height * frame.width;
          pixels.emplace_back(frame.pixels, frame.pixels + size);
        }
        const auto clip = adafuse::sample_clip(
            static_cast<std::int64_t>(pixels.size()), engine.metadata(), [&](std::int64_t index) {
              const std::uint8_t* const data = pixels[static_cast<std::size_t>(index)].data();
              return adafuse::Frame{data, frame.height, frame.width};
            });
        const adafuse::Prediction result = engine.run(clip);
        const std::vector<float> probabilities = result.probabilities(0);
        for (const std::size_t best : result.top(0, 5)) {
          std::printf("%s\t%.3f\n", engine.metadata().label(best).c_str(),
                      static_cast<double>(probabilities[best]));
        }
        std::printf("%zu frames, %" PRId64 " MACs, %s\n", pixels.size(), result.macs[0],
                    engine.name().c_str());
      });
}
