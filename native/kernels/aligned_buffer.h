// Memory for intermediate results that is kept from one use to the next.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace adafuse {

// Floats aligned to a cache line, which is also the widest vector.
class AlignedBuffer {
 public:
  // Returns room for `count` floats with undefined contents; it stays valid until the next call.
  float* reserve(std::size_t count) {
    if (count > capacity_) {
      const std::size_t bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
      memory_.reset();  // before asking again: the old contents are of no use
      capacity_ = 0;
      memory_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
      if (memory_ == nullptr) {
        throw std::bad_alloc();
      }
      capacity_ = count;
    }
    return memory_.get();
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };

  std::unique_ptr<float, Free> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace adafuse
