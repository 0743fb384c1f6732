#include "adafuse/macs.hpp"

#include <algorithm>
#include <functional>

#include "adafuse/errors.hpp"
#include "adafuse/prediction.hpp"

namespace adafuse {
namespace {

using Policies = std::vector<Tensor<std::uint8_t>>;

// Channels of one frame that a layer computes (as outputs) or reads (as inputs).
class FrameCounts {
 public:
  FrameCounts(const Policies& policies, std::int64_t clip, std::int64_t frame, std::int64_t frames)
      : policies_(policies), clip_(clip), frame_(frame), last_(frame + 1 == frames) {}

  // Kept now, or reused by the next frame.
  std::int64_t computed(const ChannelGate& gate) const {
    const std::uint8_t* now = row(gate, frame_);
    const std::uint8_t* next = last_ ? nullptr : row(gate, frame_ + 1);
    std::int64_t count = 0;
    for (std::size_t channel = gate.start; channel < gate.stop; ++channel) {
      count += now[channel] == kKeep || (next != nullptr && next[channel] == kReuse);
    }
    return count;
  }

  std::int64_t read(const ChannelGate& gate) const {
    const std::uint8_t* now = row(gate, frame_);
    const auto skipped = std::count(now + gate.start, now + gate.stop, kSkip);
    return static_cast<std::int64_t>(gate.stop - gate.start) - skipped;
  }

 private:
  const std::uint8_t* row(const ChannelGate& gate, std::int64_t frame) const {
    const Tensor<std::uint8_t>& policy = policies_.at(gate.gate);
    if (static_cast<std::int64_t>(gate.stop) > policy.shape[2]) {
      throw InputError("The cost table does not fit the policies; export the graph again.");
    }
    const std::int64_t index = clip_ * policy.shape[1] + frame;
    return policy.values.data() + index * policy.shape[2];
  }

  const Policies& policies_;
  std::int64_t clip_, frame_;
  bool last_;
};

std::int64_t frame_macs(const Layer& layer, const FrameCounts& counts) {
  std::int64_t unit = layer.macs, count = 1;
  if (layer.output) {
    unit /= static_cast<std::int64_t>(layer.output->stop - layer.output->start);
    count *= counts.computed(*layer.output);
  }
  if (layer.input) {
    unit /= static_cast<std::int64_t>(layer.input->stop - layer.input->start);
    count *= counts.read(*layer.input);
  }
  return unit * count;
}

// (B, 1, C) and (B, 1, C) to (B, 2, C).
Tensor<std::uint8_t> join_frames(const Tensor<std::uint8_t>& first,
                                 const Tensor<std::uint8_t>& second) {
  const std::int64_t streams = first.shape[0], channels = first.shape[2];
  Tensor<std::uint8_t> both({streams, 2, channels});
  for (std::int64_t i = 0; i < streams; ++i) {
    std::copy_n(&first.values[i * channels], channels, &both.values[2 * i * channels]);
    std::copy_n(&second.values[i * channels], channels, &both.values[(2 * i + 1) * channels]);
  }
  return both;
}

}  // namespace

std::vector<std::int64_t> clip_macs(const std::vector<Layer>& layers, const Policies& policies,
                                    std::int64_t frames) {
  std::vector<std::int64_t> clips(policies.empty() ? 1 : policies[0].shape[0]);
  for (std::size_t clip = 0; clip < clips.size(); ++clip) {
    for (std::int64_t frame = 0; frame < frames; ++frame) {
      const FrameCounts counts(policies, static_cast<std::int64_t>(clip), frame, frames);
      for (const Layer& layer : layers) {
        clips[clip] += frame_macs(layer, counts);
      }
    }
  }
  return clips;
}

std::vector<std::int64_t> stream_macs(const std::vector<Layer>& layers, const Policies& policies,
                                      const Policies& previous) {
  Policies both;
  for (std::size_t i = 0; i < policies.size(); ++i) {
    both.push_back(join_frames(previous[i], policies[i]));
  }
  std::vector<std::int64_t> result = clip_macs(layers, both, 2);
  const std::vector<std::int64_t> before = clip_macs(layers, previous, 1);
  std::transform(result.begin(), result.end(), before.begin(), result.begin(), std::minus<>());
  return result;
}

}  // namespace adafuse
