// ONNX Runtime's own intra-op threads, so that the host program's thread settings hold.
#pragma once

#include <exception>
#include <functional>
#include <mutex>

#include "base/parallel_for.h"
#include "base/recorder.h"
#include "ort/api.h"

namespace adafuse {

// Calls body(0) ... body(count - 1) on them; rethrows the first exception when all have ended.
inline void parallel_for(const Ort::KernelContext& context, std::size_t count,
                         const std::function<void(std::size_t)>& body) {
  struct Work {
    const std::function<void(std::size_t)>& body;
    std::mutex mutex;
    std::exception_ptr error;
  } work{body, {}, {}};
  const auto call = [](void* data, std::size_t i) {
    auto* work = static_cast<Work*>(data);
    try {
      work->body(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(work->mutex);
      work->error = std::current_exception();
    }
  };
  // Zero batches: threads take the next index when they are free, because tiles differ in work.
  context.ParallelFor(call, count, 0, &work);
  if (work.error) {
    std::rethrow_exception(work.error);
  }
}

// The same as a ParallelFor, which must not outlive the context; `recording` hears of each call and
// its tasks, unless it is null.
inline ParallelFor on_session_threads(const Ort::KernelContext& context,
                                      const NodeRecording* recording) {
  return recorded(
      [&context](std::size_t count, const std::function<void(std::size_t)>& body) {
        parallel_for(context, count, body);
      },
      recording);
}

}  // namespace adafuse
