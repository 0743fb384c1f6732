#include "adafuse/engine.hpp"

#include <algorithm>
#include <functional>

#include "src/clip_engine.h"
#include "src/clips_at_once.h"
#include "src/finite.h"
#include "src/session.h"
#include "src/sidecar.h"
#include "src/stream_impl.h"

namespace adafuse {
namespace {

void check_clips(const Tensor<float>& clips, const Shape& clip_shape) {
  const Shape& shape = clips.shape;
  const bool fits = shape.size() == 5 && shape[0] > 0 &&
                    std::equal(clip_shape.begin(), clip_shape.end(), shape.begin() + 1) &&
                    clips.values.size() == element_count(shape);
  if (!fits) {
    throw InputError("Clips must have shape float32 (B, " + to_string(clip_shape).substr(1) +
                     ", not " + to_string(shape) +
                     "; adafuse::preprocess prepares a frame that way.");
  }
}

template <class T>
void append(Tensor<T>& all, const Tensor<T>& part) {
  all.values.insert(all.values.end(), part.values.begin(), part.values.end());
  all.shape[0] += part.shape[0];
}

void append(Prediction& all, const Prediction& part) {
  append(all.logits, part.logits);
  append(all.frame_logits, part.frame_logits);
  for (std::size_t i = 0; i < all.policies.size(); ++i) {
    append(all.policies[i], part.policies[i]);
  }
  all.macs.insert(all.macs.end(), part.macs.begin(), part.macs.end());
}

// Runs `count` of the clips, beginning with `first`.
Prediction run_together(const Session& session, const Tensor<float>& clips, std::int64_t first,
                        std::int64_t count) {
  NamedValues inputs, outputs;
  inputs.add("frames", view(clips, first, count));
  outputs.add("logits", Ort::Value(nullptr));
  outputs.add("frame_logits", Ort::Value(nullptr));
  add_policies(session.metadata, outputs);
  session.run(inputs, outputs);

  Prediction result;
  const std::int64_t frames = clips.shape[1], classes = session.metadata.num_classes;
  result.logits = to_logits(outputs.values[0], {count, classes});
  result.frame_logits = to_logits(outputs.values[1], {count, frames, classes});
  for (std::size_t i = 2; i < outputs.values.size(); ++i) {
    result.policies.push_back(to_policy(outputs.values[i], count, frames));
  }
  result.macs = clip_macs(session.metadata.layers, result.policies, clips.shape[1]);
  result.macs.resize(static_cast<std::size_t>(count), result.macs.front());
  return result;
}

Prediction run_clips(const Session& session, const Tensor<float>& clips) {
  const std::int64_t all = clips.shape[0], step = std::min(all, clips_at_once(session.metadata));
  Prediction result = run_together(session, clips, 0, step);
  for (std::int64_t first = step; first < all; first += step) {
    append(result, run_together(session, clips, first, std::min(step, all - first)));
  }
  return result;
}

// Copies (B, 1, N) to frame t of (B, T, N).
template <class T>
void put_frame(Tensor<T>& all, const Tensor<T>& one, std::int64_t t) {
  const std::size_t clips = static_cast<std::size_t>(all.shape[0]);
  const std::size_t frames = static_cast<std::size_t>(all.shape[1]);
  const std::size_t width = one.values.size() / clips;
  for (std::size_t i = 0; i < clips; ++i) {
    std::copy_n(&one.values[i * width], width,
                &all.values[(i * frames + static_cast<std::size_t>(t)) * width]);
  }
}

// Frame t of clips (B, T, 3, H, W): (B, 3, H, W).
Tensor<float> take_frame(const Tensor<float>& clips, std::int64_t t) {
  Tensor<float> frame({clips.shape[0], clips.shape[2], clips.shape[3], clips.shape[4]});
  const std::size_t size = frame.values.size() / static_cast<std::size_t>(clips.shape[0]);
  for (std::int64_t i = 0; i < clips.shape[0]; ++i) {
    std::copy_n(&clips.values[static_cast<std::size_t>(i * clips.shape[1] + t) * size], size,
                &frame.values[static_cast<std::size_t>(i) * size]);
  }
  return frame;
}

template <class T>
Tensor<T> with_frames(const Tensor<T>& one, std::int64_t frames) {
  return Tensor<T>({one.shape[0], frames, one.shape[2]});
}

Prediction run_as_streams(Stream stream, const Tensor<float>& clips) {
  const std::int64_t frames = clips.shape[1];
  Prediction result;
  for (std::int64_t t = 0; t < frames; ++t) {
    const Prediction step = stream.push(take_frame(clips, t));
    if (t == 0) {
      result.frame_logits = with_frames(step.frame_logits, frames);
      result.macs.resize(step.macs.size());
      for (const auto& policy : step.policies) {
        result.policies.push_back(with_frames(policy, frames));
      }
    }
    result.logits = step.logits;
    put_frame(result.frame_logits, step.frame_logits, t);
    for (std::size_t i = 0; i < step.policies.size(); ++i) {
      put_frame(result.policies[i], step.policies[i], t);
    }
    std::transform(step.macs.begin(), step.macs.end(), result.macs.begin(), result.macs.begin(),
                   std::plus<>());
  }
  return result;
}

}  // namespace

Engine::Engine(const std::string& path, const EngineOptions& options) {
  if (is_engine(path)) {
    const Sidecar sidecar = read_sidecar(path);
    engine_ = open_tensorrt(path, sidecar);
    name_ = sidecar.backend;
  } else {
    session_ = std::make_shared<Session>(path, options);
    name_ = session_->name();
  }
}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

const Metadata& Engine::metadata() const {
  return session_ ? session_->metadata : engine_->metadata;
}

const std::string& Engine::name() const {
  return name_;
}

Prediction Engine::run(const Tensor<float>& clips) const {
  check_clips(clips, metadata().clip_shape());
  check_input(clips);
  Prediction result = run_checked(clips);
  check_logits(result.logits, name_);
  return result;
}

Prediction Engine::run_checked(const Tensor<float>& clips) const {
  if (engine_) {
    return engine_->run(clips);
  }
  if (metadata().mode == "stream") {
    StreamOptions options;
    options.streams = static_cast<std::size_t>(clips.shape[0]);
    return run_as_streams(stream(options), clips);
  }
  return run_clips(*session_, clips);
}

Stream Engine::stream(const StreamOptions& options) const {
  if (engine_) {
    throw InputError(
        "Engines run clips; for streams use a graph of 'adafuse-deploy export --mode stream'.");
  }
  return Stream(std::make_unique<Stream::Impl>(session_, options));
}

}  // namespace adafuse
