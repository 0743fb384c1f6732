// Recorder: begin and end of the parts of operators' runs, for profiles.
//
//   Recorder       owned by whoever profiles; one at a time is running
//   |-- names      [ "relu_3" | "policy_01" | ... ]   of nodes
//   '-- records    [ Record | Record | ... ]          a fixed number; later ones are only counted
//
//   Record, 32 bytes:
//   0          8          16         24       28      30      32
//   | begin    | end      | thread   | run    | node  | span  |
//     nanoseconds of the    hash of   number   index   kind
//     steady clock          its id    of the   into
//                                     node run names
//
// Spans of a node's run, of which each lies inside another:
//
//   kNode                                  on the thread that runs the node
//   '-- kSection                           there too: one ParallelFor, until its last task ended
//       '-- kTask                          on any thread: one task of the section
//           '-- kPack, kConv, kConv1 ...   there too, one after another: the parts of the task
//
// While a section lasts, a thread outside of its tasks waits or does other work.
//
// Contract:
//   - While nobody records, a node's run reads one pointer and each span tests another.
//   - Records are written from any thread without a lock.  They are read after stop(), which waits
//     for the runs under way.  A run belongs to the recorder that was running when it began.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/parallel_for.h"

namespace adafuse {

// Kinds of spans.
enum class Span : std::uint16_t {
  kNode,
  kSection,
  kTask,
  kPack,   // weights of chosen channels, and inputs that are copied side by side
  kConv,   // of operators with one convolution
  kConv1,  // of residual blocks
  kConv2,
  kConv3,
};

// One span; see the drawing above.
struct Record {
  std::int64_t begin, end;
  std::uint64_t thread;
  std::uint32_t run;
  std::uint16_t node;
  Span span;
};
static_assert(sizeof(Record) == 32, "Record is read by other languages");

// The steady clock's time.
inline std::int64_t nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Recorder {
 public:
  explicit Recorder(std::size_t capacity) : records_(capacity) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() { stop(); }

  // Forgets all records and records the runs that begin from now on.  Returns false, and does
  // nothing, where a recorder is running.
  bool start();
  // Returns when the runs under way have ended.
  void stop();

  // Records, their number, those beyond the room for them, and names of nodes: to be called on a
  // stopped recorder.
  const Record* records() const { return records_.data(); }
  std::size_t count() const;
  std::size_t lost() const { return taken_ - count(); }
  const std::vector<std::string>& names() const { return names_; }

 private:
  friend class NodeRecording;

  void add(const Record& record) {
    const std::size_t place = taken_.fetch_add(1, std::memory_order_relaxed);
    if (place < records_.size()) {
      records_[place] = record;
    }
  }

  std::vector<Record> records_;
  std::atomic<std::size_t> taken_{0};
  std::vector<std::string> names_;
  std::uint32_t runs_ = 0, under_way_ = 0;
};

// One run of a node; it is recorded if a recorder is running when it begins.
class NodeRecording {
 public:
  explicit NodeRecording(const std::string& name);
  NodeRecording(const NodeRecording&) = delete;
  NodeRecording& operator=(const NodeRecording&) = delete;
  ~NodeRecording() {
    if (recorder_ != nullptr) {
      leave();
    }
  }

  // This, for the parts of the run; null where the run is not recorded.
  const NodeRecording* get() const { return recorder_ == nullptr ? nullptr : this; }

  void add(Span span, std::int64_t begin, std::int64_t end) const;

 private:
  void leave();

  Recorder* recorder_ = nullptr;
  std::int64_t begin_ = 0;
  std::uint32_t run_ = 0;
  std::uint16_t node_ = 0;
};

// A span that lasts as long as this object.
class SpanTimer {
 public:
  // `node` may be null: nothing is recorded.
  SpanTimer(const NodeRecording* node, Span span)
      : node_(node), span_(span), begin_(node == nullptr ? 0 : nanoseconds()) {}
  SpanTimer(const SpanTimer&) = delete;
  SpanTimer& operator=(const SpanTimer&) = delete;
  ~SpanTimer() {
    if (node_ != nullptr) {
      node_->add(span_, begin_, nanoseconds());
    }
  }

  // Ends this span and begins another.
  void next(Span span) {
    if (node_ != nullptr) {
      const std::int64_t now = nanoseconds();
      node_->add(span_, begin_, now);
      span_ = span;
      begin_ = now;
    }
  }

 private:
  const NodeRecording* const node_;
  Span span_;
  std::int64_t begin_;
};

// A ParallelFor that records each call as a section and its tasks; `parallel_for` itself where
// `node` is null.
ParallelFor recorded(ParallelFor parallel_for, const NodeRecording* node);
// A ParallelFor that records each task's body as a span of kind `span`; `parallel_for` itself where
// `node` is null.
ParallelFor recorded_as(Span span, ParallelFor parallel_for, const NodeRecording* node);

}  // namespace adafuse
