// Large pages for large memory: reads of chosen rows would miss the translation buffer in small
// ones.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace adafuse {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Asks for huge pages within some memory, of use before it is first written.  Memory that is
// `written` already is moved now, with whatever shares its first and last page, where the system
// can.
inline void prefer_huge_pages(const void* memory, std::size_t bytes, bool written = false) {
#if defined(__linux__)
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + (written ? 0 : kHugePage - 1)) / kHugePage * kHugePage;
  const std::uintptr_t last =
      (begin + bytes + (written ? kHugePage - 1 : 0)) / kHugePage * kHugePage;
  if (first < last) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    // MADV_COLLAPSE of Linux 6.1, which older C libraries do not name.
    constexpr int kCollapse = 25;
    if (written) {
      madvise(reinterpret_cast<void*>(first), last - first, kCollapse);
    }
  }
#endif
  (void)memory;
  (void)bytes;
  (void)written;
}

}  // namespace adafuse
