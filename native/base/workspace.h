// Memory for intermediate results, whose size is known before a run begins.
//
//   Workspaces          owned by the operators of a process together
//   |-- runs   Lease    one per run of an operator, given back when the run ends
//   |            Arena    hands it out before tasks begin: [ piece | piece | ... ]
//   |-- tasks  Lease    one per task of a ParallelFor, given back when the task ends
//   |            Arena    the task's own; nobody else sees it
//   '-- lists  Lease    channel orders and K indirections of a run
//
// Contract:
//   - A run computes from shapes and policies how much it and each of its tasks take, and
//     leases that.  Arena::take() throws where the computation was wrong; nothing grows.
//   - The run's memory is shared by its tasks: each writes places of its own, and reads what
//     others wrote only in a later ParallelFor.
//   - No value is kept from run to run, only capacity, and nothing depends on the thread.  So
//     any number of runs may be under way, of one operator too, and an executor may run other
//     work, even a whole other run, on a thread that waits.
//   - Contents are undefined at first.  What came back last is lent first: it is in cache.
//   - All is freed with the last operator.
//
// The only state of a thread are AMX tiles, see IgemmKernel::release().
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/precision.h"
#include "base/sizes.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace adafuse {

// The size of an Arena, in bytes: the sum of the pieces that it is to hand out.
class ArenaSize {
 public:
  template <typename T>
  void add(std::size_t count) {
    bytes_ += piece_bytes(checked_product({count, sizeof(T)}));
  }
  void add_bytes(std::size_t bytes) { bytes_ += piece_bytes(bytes); }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Arena;
  // Bytes that a piece takes: whole cache lines.  Under AddressSanitizer another line separates it
  // from the next.
  static constexpr std::size_t piece_bytes(std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    return (bytes + 2 * kLine - 1) / kLine * kLine;
#else
    return (bytes + kLine - 1) / kLine * kLine;
#endif
  }

  std::size_t bytes_ = 0;
};

// A pool of memory blocks, which it owns; safe to use from any thread.
class WorkspacePool {
 public:
  // A block of memory, given back when the lease is destroyed.
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<AlignedArray<char>> memory)
        : pool_(pool), memory_(std::move(memory)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(memory_));
    }

    char* data() const { return memory_->data(); }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<AlignedArray<char>> memory_;
  };

  // Lends a block of at least `bytes` bytes, with undefined contents.
  Lease lend(std::size_t bytes) {
    std::unique_ptr<AlignedArray<char>> memory;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (idle_.empty()) {
        idle_.reserve(++count_);  // so that giving back never fails
      } else {
        memory = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (memory == nullptr) {
      memory = std::make_unique<AlignedArray<char>>();
    }
    memory->reserve(bytes);
    return Lease(*this, std::move(memory));
  }

 private:
  std::mutex mutex_;
  std::size_t count_ = 0;  // of all blocks, lent ones too
  std::vector<std::unique_ptr<AlignedArray<char>>> idle_;
};

// A pool of objects that hold lists, which it owns; safe to use from any thread.  An object comes
// back with its last contents, of which only the capacity is of use: whoever leases it fills it
// anew.
class ListPool {
 public:
  // An object of type Lists, given back when the lease is destroyed.
  template <typename Lists>
  class Lease {
   public:
    explicit Lease(ListPool& pool) : pool_(pool), lists_(pool.take<Lists>()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_.give_back(typeid(Lists), std::move(lists_)); }

    Lists& operator*() const { return *static_cast<Lists*>(lists_.get()); }

   private:
    ListPool& pool_;
    std::shared_ptr<void> lists_;
  };

 private:
  struct Idle {
    std::size_t count = 0;  // of all objects of a type, lent ones too
    std::vector<std::shared_ptr<void>> objects;
  };

  template <typename Lists>
  std::shared_ptr<void> take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      Idle& idle = idle_[typeid(Lists)];
      if (!idle.objects.empty()) {
        std::shared_ptr<void> lists = std::move(idle.objects.back());
        idle.objects.pop_back();
        return lists;
      }
      idle.objects.reserve(++idle.count);  // so that giving back never fails
    }
    return std::make_shared<Lists>();
  }
  void give_back(std::type_index type, std::shared_ptr<void> lists) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.find(type)->second.objects.push_back(std::move(lists));
  }

  std::mutex mutex_;
  std::unordered_map<std::type_index, Idle> idle_;
};

// Memory of the runs of all operators that share it.
struct Workspaces {
  WorkspacePool runs, tasks;
  ListPool lists;

  // The workspaces of the process, which live as long as anybody holds them.
  static std::shared_ptr<Workspaces> shared();
};

// Memory leased for one run or task, which it hands out in pieces that begin on cache lines.
class Arena {
 public:
  Arena(WorkspacePool& pool, const ArenaSize& size)
      : lease_(pool.lend(size.bytes())), bytes_(size.bytes()) {
    forbid(0);
  }
  ~Arena() { allow(lease_.data(), bytes_); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // The next piece, `count` values of T with undefined contents, valid as long as the arena. Throws
  // std::logic_error where more is taken than was leased.
  template <typename T>
  T* take(std::size_t count) {
    return reinterpret_cast<T*>(take_bytes(checked_product({count, sizeof(T)})));
  }
  char* take_bytes(std::size_t bytes) {
    const std::size_t piece = ArenaSize::piece_bytes(bytes);
    if (piece > bytes_ - taken_) {
      throw std::logic_error("a workspace is too small: its size was computed wrongly");
    }
    char* const memory = lease_.data() + taken_;
    taken_ += piece;
    allow(memory, bytes);
    return memory;
  }

  // rewind() gives back all pieces that were taken after the mark.
  std::size_t mark() const { return taken_; }
  void rewind(std::size_t mark) {
    taken_ = mark;
    forbid(mark);
  }

 private:
  void forbid([[maybe_unused]] std::size_t from) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(lease_.data() + from, bytes_ - from);
#endif
  }
  static void allow([[maybe_unused]] char* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(memory, bytes);
#endif
  }

  WorkspacePool::Lease lease_;
  std::size_t bytes_;
  std::size_t taken_ = 0;
};

}  // namespace adafuse
