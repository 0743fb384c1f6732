// Large pages for large memory: reads of chosen rows would miss the translation buffer in small
// ones.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace adafuse {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Asks for huge pages within some memory, of use before it is first written.
void prefer_huge_pages(const void* memory, std::size_t bytes);

// Memory that others wrote, such as the weights of a session, and that one operator reads in every
// run.  Moving it into huge pages takes half a millisecond a page, ten times as much where a system
// has to find one first: so it is done little by little, where Linux (6.1 or newer) can.
class WrittenMemory {
 public:
  // With whatever shares its first and last page.
  void add(const void* memory, std::size_t bytes);

  // Called in every run: moves one page in the first, and twice as many in each one after it.  What
  // was moved already, for another operator, costs nothing.  Safe to call from any thread.
  void move_some();

  std::size_t moved() const { return moved_; }
  std::size_t pages() const { return pages_.size(); }

 private:
  std::vector<std::uintptr_t> pages_;
  std::atomic<std::size_t> moved_{0};
};

}  // namespace adafuse
