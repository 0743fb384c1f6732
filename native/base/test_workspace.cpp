// Leases and arenas: sizes, order, and memory that comes back.
#include <doctest/doctest.h>

#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/workspace.h"

using namespace adafuse;

namespace {

void hands_out_just_what_was_added() {
  WorkspacePool pool;
  ArenaSize size;
  size.add<float>(3);
  size.add<std::uint32_t>(0);
  size.add_bytes(100);
  Arena memory(pool, size);
  float* const first = memory.take<float>(3);
  memory.take<std::uint32_t>(0);
  const std::size_t mark = memory.mark();
  char* const bytes = memory.take_bytes(100);
  CHECK(reinterpret_cast<std::uintptr_t>(first) % kLine == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(bytes) % kLine == 0);
  CHECK(bytes >= reinterpret_cast<char*>(first + 3));
  bool refused = false;
  try {
    memory.take_bytes(kLine + 1);
  } catch (const std::logic_error&) {
    refused = true;
  }
  CHECK(refused);
  memory.rewind(mark);
  CHECK(memory.take_bytes(100) == bytes);
}

void lends_what_came_back_last() {
  WorkspacePool pool;
  char *first, *second;
  {
    const WorkspacePool::Lease a = pool.lend(64);
    first = a.data();
    const WorkspacePool::Lease b = pool.lend(64);
    second = b.data();
    CHECK(first != second);
  }
  // The later lease came back first.
  CHECK(pool.lend(64).data() == first);
  const WorkspacePool::Lease a = pool.lend(64), b = pool.lend(64);
  CHECK(a.data() == first);
  CHECK(b.data() == second);
}

void serves_threads() {
  WorkspacePool pool;
  std::vector<std::thread> threads;
  for (char mark = 1; mark <= 4; ++mark) {
    threads.emplace_back([&pool, mark] {
      for (std::size_t i = 0; i < 2000; ++i) {
        ArenaSize size;
        size.add_bytes(1 + i);
        Arena memory(pool, size);
        char* const bytes = memory.take_bytes(1 + i);
        bytes[0] = bytes[i] = mark;
        std::this_thread::yield();
        CHECK(bytes[0] == mark);
        CHECK(bytes[i] == mark);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

void lives_as_long_as_its_owners() {
  const std::shared_ptr<Workspaces> one = Workspaces::shared();
  std::weak_ptr<Workspaces> watched = one;
  {
    const std::shared_ptr<Workspaces> two = Workspaces::shared();
    CHECK(one.get() == two.get());
  }
  CHECK(!watched.expired());
}

}  // namespace

TEST_CASE("an arena hands out just what was added") {
  hands_out_just_what_was_added();
}

TEST_CASE("a pool lends what came back last") {
  lends_what_came_back_last();
}

TEST_CASE("a pool serves threads") {
  serves_threads();
}

TEST_CASE("workspaces live as long as their owners") {
  lives_as_long_as_its_owners();
  const std::weak_ptr<Workspaces> gone = Workspaces::shared();
  CHECK(gone.expired());
}
