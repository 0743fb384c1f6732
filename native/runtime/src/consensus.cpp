#include "src/consensus.h"

#include <algorithm>
#include <sstream>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

// A mean in which every frame weighs `decay` times as much as the next: 1 is the mean of all
// frames, 0 the last frame alone, what lies between an exponential moving average, without its
// usual bias towards zero at the beginning.
class DecayingMean : public Consensus {
 public:
  DecayingMean(std::size_t streams, std::size_t classes, double decay)
      : classes_(classes), decay_(decay), sums_(streams * classes), weights_(streams) {}

  Tensor<float> update(const Tensor<float>& logits) override {
    Tensor<float> result(logits.shape);
    for (double& weight : weights_) {
      weight = decay_ * weight + 1;
    }
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      sums_[i] = decay_ * sums_[i] + static_cast<double>(logits.values[i]);
      result.values[i] = static_cast<float>(sums_[i] / weights_[i / classes_]);
    }
    return result;
  }

  void reset(std::size_t stream) override {
    std::fill_n(&sums_[stream * classes_], classes_, 0.0);
    weights_[stream] = 0;
  }

 private:
  std::size_t classes_;
  double decay_;
  std::vector<double> sums_, weights_;
};

// The mean of the last `window` frames.
class WindowMean : public Consensus {
 public:
  WindowMean(std::size_t streams, std::size_t classes, std::size_t window)
      : classes_(classes), frames_(window), seen_(window, std::vector<bool>(streams)) {}

  Tensor<float> update(const Tensor<float>& logits) override {
    frames_[next_] = logits.values;
    seen_[next_].assign(seen_[next_].size(), true);
    next_ = (next_ + 1) % frames_.size();
    Tensor<float> result(logits.shape);
    for (std::size_t i = 0; i < result.values.size(); ++i) {
      int count = 0;
      for (std::size_t frame = 0; frame < frames_.size(); ++frame) {
        if (seen_[frame][i / classes_]) {
          result.values[i] += frames_[frame][i];
          ++count;
        }
      }
      result.values[i] /= static_cast<float>(count);
    }
    return result;
  }

  void reset(std::size_t stream) override {
    for (std::vector<bool>& seen : seen_) {
      seen[stream] = false;
    }
  }

 private:
  std::size_t classes_, next_ = 0;
  std::vector<std::vector<float>> frames_;
  std::vector<std::vector<bool>> seen_;
};

}  // namespace

std::unique_ptr<Consensus> make_consensus(const StreamOptions& options, std::size_t classes) {
  const std::string& kind = options.consensus;
  const auto decaying = [&](double decay) {
    return std::make_unique<DecayingMean>(options.streams, classes, decay);
  };
  if (kind == "window") {
    if (options.window < 1) {
      throw InputError("A window has at least 1 frame, not 0.");
    }
    return std::make_unique<WindowMean>(options.streams, classes, options.window);
  }
  if (kind == "ema") {
    if (!(options.decay > 0 && options.decay < 1)) {
      std::ostringstream message;
      message << "The decay of a moving average lies between 0 and 1, not at " << options.decay
              << ".";
      throw InputError(message.str());
    }
    return decaying(options.decay);
  }
  if (kind == "mean" || kind == "last") {
    return decaying(kind == "mean" ? 1 : 0);
  }
  throw InputError("The consensus is one of mean, window, ema, last, not '" + kind + "'.");
}

}  // namespace adafuse
