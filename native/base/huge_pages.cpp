#include "base/huge_pages.h"

#include <algorithm>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace adafuse {
namespace {

std::uintptr_t address(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory);
}

// Asks for huge pages in [first, last), the addresses of whole ones.  A system that does not take
// the advice leaves everything as it was.
void advise([[maybe_unused]] std::uintptr_t first, [[maybe_unused]] std::uintptr_t last) {
#if defined(__linux__)
  if (first < last) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
#endif
}

// Moves the contents of one page's address range into a huge page.
void move_page([[maybe_unused]] std::uintptr_t page) {
#if defined(__linux__)
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, which older C libraries do not name
  madvise(reinterpret_cast<void*>(page), kHugePage, kCollapse);
#endif
}

}  // namespace

void prefer_huge_pages(const void* memory, std::size_t bytes) {
  advise((address(memory) + kHugePage - 1) / kHugePage * kHugePage,
         (address(memory) + bytes) / kHugePage * kHugePage);
}

void WrittenMemory::add(const void* memory, std::size_t bytes) {
  const std::uintptr_t first = address(memory) / kHugePage * kHugePage;
  const std::uintptr_t last = (address(memory) + bytes + kHugePage - 1) / kHugePage * kHugePage;
  advise(first, last);
  for (std::uintptr_t page = first; page < last; page += kHugePage) {
    if (std::find(pages_.begin(), pages_.end(), page) == pages_.end()) {
      pages_.push_back(page);
    }
  }
}

void WrittenMemory::move_some() {
  std::size_t first = moved_;
  const std::size_t last = std::min(2 * first + 1, pages_.size());
  // One of the threads that are here at once moves pages, and the others go on.
  if (first < last && moved_.compare_exchange_strong(first, last)) {
    std::for_each(pages_.begin() + first, pages_.begin() + last, move_page);
  }
}

}  // namespace adafuse
