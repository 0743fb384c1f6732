// WrittenMemory: each run moves twice as many pages, every page once, contents unchanged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/huge_pages.h"

using namespace adafuse;

TEST_CASE("every run moves twice as many pages as the one before") {
  std::vector<std::uint8_t> memory(9 * kHugePage);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    memory[i] = static_cast<std::uint8_t>(i / 7);
  }
  const std::vector<std::uint8_t> before = memory;
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(memory.data());
  std::uint8_t* const page = memory.data() + (kHugePage - begin % kHugePage) % kHugePage;
  WrittenMemory written;
  CHECK(written.pages() == 0);
  written.move_some();
  written.add(page + kHugePage - 8, 16);
  CHECK(written.pages() == 2);
  written.add(page + kHugePage, 8);
  CHECK(written.pages() == 2);
  written.add(page + 3 * kHugePage + 1, 4 * kHugePage);
  CHECK(written.pages() == 7);
  for (const std::size_t moved : {1, 3, 7, 7}) {
    written.move_some();
    CHECK(written.moved() == moved);
    CHECK(std::equal(before.begin(), before.end(), memory.begin()));
  }
}
