// Arrays in aligned memory, whose capacity is kept from one use to the next.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/huge_pages.h"
#include "base/sizes.h"

namespace adafuse {

// An array of T that owns its memory.  It begins on a cache line, which is also the widest vector,
// and from 2 MiB on a huge page; capacity only grows.
template <typename T>
class AlignedArray {
 public:
  // Returns room for `count` values with undefined contents; it stays valid until the next call.
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      const std::size_t size = checked_product({count, sizeof(T)});
      memory_.reset();  // before asking again: the old contents are of no use
      capacity_ = 0;
      void* memory = nullptr;
      if (posix_memalign(&memory, size < kHugePage ? kAlignment : kHugePage, size) != 0) {
        throw std::bad_alloc();
      }
      memory_.reset(static_cast<T*>(memory));
      prefer_huge_pages(memory, size);
      capacity_ = count;
    }
    return memory_.get();
  }

  T* data() const { return memory_.get(); }

 private:
  static constexpr std::size_t kAlignment = 64;  // bytes
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };

  std::unique_ptr<T, Free> memory_;
  std::size_t capacity_ = 0;
};

using AlignedBuffer = AlignedArray<float>;

}  // namespace adafuse
