// Two ways to run a parallel loop, as unlike each other as possible, and memory for runs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "base/parallel_for.h"
#include "base/workspace.h"

namespace adafuse {

inline void serial(std::size_t count, const std::function<void(std::size_t)>& body) {
  for (std::size_t i = 0; i < count; ++i) {
    body(i);
  }
}

// Three threads that take indices from the end, to be as unlike serial() as possible.
inline void threaded(std::size_t count, const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> left{count};
  const auto work = [&] {
    for (std::size_t i = left; i > 0;) {
      if (left.compare_exchange_weak(i, i - 1)) {
        body(i - 1);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// The memory that all runs of a test share.
inline Workspaces& test_workspaces() {
  static Workspaces workspaces;
  return workspaces;
}

// Takes memory as a run does and leaves numbers in it that spoil whoever reads them.
inline void spoil_workspaces() {
  constexpr std::size_t kBytes = 1 << 16;
  for (WorkspacePool* pool : {&test_workspaces().runs, &test_workspaces().tasks}) {
    ArenaSize size;
    size.add_bytes(kBytes);
    Arena memory(*pool, size);
    std::memset(memory.take_bytes(kBytes), 0xff, kBytes);
  }
}

// An executor whose threads do other work while a loop is under way: after every turn the calling
// thread runs `meanwhile`, say a whole other run.
inline ParallelFor nested(const std::function<void()>& meanwhile = spoil_workspaces) {
  return [meanwhile](std::size_t count, const std::function<void(std::size_t)>& body) {
    for (std::size_t i = 0; i < count; ++i) {
      meanwhile();
      body(i);
    }
    meanwhile();
  };
}

}  // namespace adafuse
