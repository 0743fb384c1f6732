// Recognises a video while it comes in: one line per frame, then the rate.
#include <adafuse/engine.hpp>
#include <chrono>

#include "program.h"
#include "video.h"

int main(int argc, char** argv) {
  return run_program(
      argc, argv, 2, 3, "MODEL.onnx VIDEO.y4m|- [WIDTHxHEIGHT of raw RGB frames]",
      [](const auto& names) {
        const adafuse::Engine engine(names[0]);
        adafuse::Stream stream = engine.stream();
        Video video(names[1], names.size() == 3 ? names[2] : "");
        const auto start = std::chrono::steady_clock::now();
        std::size_t count = 0;
        for (adafuse::Frame frame{}; video.next(frame); ++count) {
          const auto result =
              stream.push(adafuse::preprocess(frame, engine.metadata().preprocessing));
          const std::size_t best = result.top(0, 1)[0];
          std::printf("%zu\t%s\t%.3f\n", count, engine.metadata().label(best).c_str(),
                      static_cast<double>(result.probabilities(0)[best]));
        }
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        std::printf("%zu frames, %.1f fps\n", count, static_cast<double>(count) / seconds.count());
      });
}
