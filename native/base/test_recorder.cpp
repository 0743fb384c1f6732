// Recorders: what they see, what they have room for, and when they begin and end.
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "base/recorder.h"
#include "tests/parallel.h"
#include "tests/spans.h"

using namespace adafuse;

namespace {

std::size_t count(const Recorder& recorder, Span span) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < recorder.count(); ++i) {
    found += recorder.records()[i].span == span;
  }
  return found;
}

// A node of two sections, whose tasks pack and convolve.
void run_node(const char* name, const ParallelFor& spread) {
  const NodeRecording node(name);
  const ParallelFor parallel_for = recorded(spread, node.get());
  for (int section = 0; section < 2; ++section) {
    parallel_for(5, [&](std::size_t) {
      SpanTimer timer(node.get(), Span::kPack);
      timer.next(Span::kConv);
    });
  }
}

}  // namespace

TEST_CASE("nothing is recorded while nobody records") {
  Recorder recorder(100);
  const NodeRecording before("before");
  CHECK(before.get() == nullptr);
  REQUIRE(recorder.start());
  recorder.stop();
  run_node("after", serial);
  CHECK(recorder.count() == 0);
  CHECK(recorder.names().empty());
}

TEST_CASE("spans lie one in another, on the threads that they took") {
  for (const bool many : {false, true}) {
    Recorder recorder(1000);
    REQUIRE(recorder.start());
    const std::int64_t begin = nanoseconds();
    run_node("first", many ? ParallelFor(threaded) : ParallelFor(serial));
    run_node("second", serial);
    run_node("first", serial);
    const std::int64_t end = nanoseconds();
    recorder.stop();
    CHECK(recorder.names() == std::vector<std::string>{"first", "second"});
    CHECK(count(recorder, Span::kNode) == 3);
    CHECK(count(recorder, Span::kSection) == 6);
    for (const Span span : {Span::kTask, Span::kPack, Span::kConv}) {
      CHECK(count(recorder, span) == 30);
    }
    CHECK(recorder.count() == 99);
    check_nesting(recorder);
    std::set<std::uint32_t> runs;
    for (std::size_t i = 0; i < recorder.count(); ++i) {
      const Record& record = recorder.records()[i];
      CHECK(begin <= record.begin);
      CHECK(record.end <= end);
      runs.insert(record.run);
    }
    CHECK(runs == std::set<std::uint32_t>{0, 1, 2});
  }
}

TEST_CASE("tasks that do one thing") {
  Recorder recorder(100);
  REQUIRE(recorder.start());
  {
    const NodeRecording node("node");
    recorded_as(Span::kConv2, recorded(serial, node.get()), node.get())(3, [](std::size_t) {});
  }
  recorder.stop();
  CHECK(count(recorder, Span::kConv2) == 3);
  check_nesting(recorder);
}

TEST_CASE("what there is no room for is counted") {
  Recorder recorder(10);
  for (int turn = 0; turn < 2; ++turn) {  // it begins anew
    REQUIRE(recorder.start());
    run_node("node", serial);
    recorder.stop();
    CHECK(recorder.count() == 10);
    CHECK(recorder.lost() == 23);
  }
  Recorder none(0);
  REQUIRE(none.start());
  run_node("node", serial);
  none.stop();
  CHECK(none.count() == 0);
  CHECK(none.lost() == 33);
}

TEST_CASE("one recorder at a time is running") {
  Recorder other(10);
  {
    Recorder recorder(10);
    REQUIRE(recorder.start());
    CHECK_FALSE(recorder.start());
    CHECK_FALSE(other.start());
    other.stop();  // which was not running
    const NodeRecording node("node");
    CHECK(node.get() != nullptr);
  }  // its end stops it
  CHECK(other.start());
  other.stop();
}

TEST_CASE("a recorder stops when the runs under way have ended") {
  Recorder recorder(10);
  REQUIRE(recorder.start());
  std::atomic<int> state{0};
  std::thread run([&] {
    const NodeRecording node("slow");
    state = 1;
    while (state < 2) {
      std::this_thread::yield();
    }
    node.add(Span::kTask, 1, 2);
  });
  while (state < 1) {
    std::this_thread::yield();
  }
  std::thread stopper([&] {
    recorder.stop();
    CHECK(recorder.count() == 2);
    state = 3;
  });
  for (int i = 0; i < 1000; ++i) {
    std::this_thread::yield();
  }
  CHECK(state == 1);
  state = 2;
  run.join();
  stopper.join();
  CHECK(state == 3);
}

TEST_CASE("threads record at the same time") {
  constexpr std::size_t kThreads = 4, kRuns = 50;
  Recorder recorder(kThreads * kRuns * 40);
  REQUIRE(recorder.start());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([] {
      for (std::size_t run = 0; run < kRuns; ++run) {
        run_node("node", serial);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  recorder.stop();
  CHECK(recorder.count() == kThreads * kRuns * 33);
  std::vector<std::size_t> of_run(kThreads * kRuns);
  for (std::size_t i = 0; i < recorder.count(); ++i) {
    ++of_run.at(recorder.records()[i].run);
  }
  CHECK(of_run == std::vector<std::size_t>(kThreads * kRuns, 33));
}
