// Videos without end, one frame at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "adafuse/export.h"
#include "adafuse/prediction.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

struct StreamOptions {
  std::size_t streams = 1;  // B, streams that advance together
  // The consensus of the frames' logits: "mean" of all, mean of the last "window" frames,
  // "ema" (exponential moving average), or the "last" frame's; "" is "mean", or "last" after an
  // LSTM, which remembers by itself.
  std::string consensus;
  std::size_t window = 8;  // frames of "window"
  double decay = 0.9;      // of "ema": how much a frame weighs relative to the next
};

// B streams that advance together.  Made by Engine::stream(); keeps alive what it needs of its
// engine.  One thread at a time may use it; other streams and the engine are not touched.
class ADAFUSE_API Stream {
 public:
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // Recognises the next frame of every stream.
  //
  // Takes normalised (B, 3, H, W), or (3, H, W) for one stream.  Returns logits of the consensus so
  // far; frame logits, policies and multiply-accumulates of this frame.  Throws InputError for
  // another shape or for NaN and infinity, NotFiniteError when the network answers with these.
  Prediction push(const Tensor<float>& frames);

  // Begins one stream anew, or all.  Throws InputError when there is no such stream.
  void reset(std::optional<std::size_t> stream = std::nullopt);

  // Bytes of one stream's state, which do not depend on how long it runs.
  std::size_t state_bytes() const;

 private:
  friend class Engine;
  struct Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace adafuse
