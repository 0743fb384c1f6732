// Two ways to run a parallel loop, as unlike each other as possible.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

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

}  // namespace adafuse
