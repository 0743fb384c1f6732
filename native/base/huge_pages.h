// Huge pages for large memory: with small pages, reads of chosen weight rows would miss the
// translation lookaside buffer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace adafuse {

constexpr std::size_t kHugePage = std::size_t{2} << 20;  // bytes

// Asks the system for the huge pages that lie within [memory, memory + bytes); to be called before
// that is first written.
void prefer_huge_pages(const void* memory, std::size_t bytes);

// Written memory of others that one operator reads in every run, such as the weights of a session:
// a view.  Moving it into huge pages takes half a millisecond a page, ten times as much where the
// system has to find one first: so it is done little by little, where Linux (6.1 or newer) can.
class WrittenMemory {
 public:
  // Adds [memory, memory + bytes), extended to whole huge pages; it must outlive this object.
  void add(const void* memory, std::size_t bytes);

  // Called in every run: moves one page in the first, and twice as many in each one after it.  What
  // was moved already, for another operator, costs nothing.  Safe to call from any thread.
  void move_some();

  // Pages that were moved so far, and pages in all.
  std::size_t moved() const { return moved_; }
  std::size_t pages() const { return pages_.size(); }

 private:
  std::vector<std::uintptr_t> pages_;  // addresses, each once
  std::atomic<std::size_t> moved_{0};
};

}  // namespace adafuse
