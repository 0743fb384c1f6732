#include "base/recorder.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

namespace adafuse {
namespace {

// The one recorder of the process that is running.
struct Place {
  std::mutex mutex;  // guards all but the records of the running one
  std::condition_variable ended;
  std::atomic<Recorder*> running{nullptr};
};

// Never destroyed: nodes may run longer than this library's static objects when a program ends.
Place& place() {
  static Place& place = *new Place;
  return place;
}

constexpr std::size_t kMostNames = std::numeric_limits<std::uint16_t>::max();

}  // namespace

bool Recorder::start() {
  const std::lock_guard<std::mutex> lock(place().mutex);
  if (place().running.load() != nullptr) {
    return false;
  }
  taken_ = 0;
  runs_ = 0;
  names_.clear();
  place().running = this;
  return true;
}

void Recorder::stop() {
  std::unique_lock<std::mutex> lock(place().mutex);
  if (place().running.load() == this) {
    place().running = nullptr;
  }
  place().ended.wait(lock, [this] { return under_way_ == 0; });
}

std::size_t Recorder::count() const {
  return std::min(taken_.load(), records_.size());
}

NodeRecording::NodeRecording(const std::string& name) {
  if (place().running.load(std::memory_order_relaxed) == nullptr) {
    return;
  }
  const std::lock_guard<std::mutex> lock(place().mutex);
  Recorder* const recorder = place().running.load();
  if (recorder == nullptr) {
    return;
  }
  std::vector<std::string>& names = recorder->names_;
  const auto found = std::find(names.begin(), names.end(), name);
  node_ = static_cast<std::uint16_t>(found - names.begin());
  if (found == names.end()) {
    if (names.size() == kMostNames) {
      return;
    }
    names.push_back(name);
  }
  run_ = recorder->runs_++;
  ++recorder->under_way_;
  recorder_ = recorder;
  begin_ = nanoseconds();
}

void NodeRecording::add(Span span, std::int64_t begin, std::int64_t end) const {
  const std::uint64_t thread = std::hash<std::thread::id>()(std::this_thread::get_id());
  recorder_->add({begin, end, thread, run_, node_, span});
}

void NodeRecording::leave() {
  add(Span::kNode, begin_, nanoseconds());
  const std::lock_guard<std::mutex> lock(place().mutex);
  if (--recorder_->under_way_ == 0) {
    place().ended.notify_all();
  }
}

ParallelFor recorded(ParallelFor parallel_for, const NodeRecording* node) {
  if (node == nullptr) {
    return parallel_for;
  }
  return [parallel_for = std::move(parallel_for), node](
             std::size_t count, const std::function<void(std::size_t)>& body) {
    const SpanTimer section(node, Span::kSection);
    parallel_for(count, [node, &body](std::size_t index) {
      const SpanTimer task(node, Span::kTask);
      body(index);
    });
  };
}

ParallelFor recorded_as(Span span, ParallelFor parallel_for, const NodeRecording* node) {
  if (node == nullptr) {
    return parallel_for;
  }
  return [span, parallel_for = std::move(parallel_for), node](
             std::size_t count, const std::function<void(std::size_t)>& body) {
    parallel_for(count, [span, node, &body](std::size_t index) {
      const SpanTimer timer(node, span);
      body(index);
    });
  };
}

}  // namespace adafuse
