// Memory for intermediate results that is kept from one use to the next.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/huge_pages.h"

namespace adafuse {

// Aligned to a cache line, which is also the widest vector.
template <typename T>
class AlignedArray {
 public:
  // Returns room for `count` values with undefined contents; it stays valid until the next call.
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      const std::size_t size = count * sizeof(T);
      const std::size_t alignment = size < kHugePage ? kAlignment : kHugePage;
      const std::size_t bytes = (size + alignment - 1) / alignment * alignment;
      memory_.reset();  // before asking again: the old contents are of no use
      capacity_ = 0;
      memory_.reset(static_cast<T*>(std::aligned_alloc(alignment, bytes)));
      if (memory_ == nullptr) {
        throw std::bad_alloc();
      }
      prefer_huge_pages(memory_.get(), bytes);
      capacity_ = count;
    }
    return memory_.get();
  }

  T* data() const { return memory_.get(); }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };

  std::unique_ptr<T, Free> memory_;
  std::size_t capacity_ = 0;
};

using AlignedBuffer = AlignedArray<float>;

}  // namespace adafuse
