// Included by the files that implement the micro-kernels, in their namespaces: packs B for chosen
// outputs or inputs.
using Indices [[gnu::vector_size(kLanes * sizeof(Group))]] = Group;

// Swaps the off-diagonal halves of all blocks of 2 * distance rows and columns.
template <int distance>
inline void exchange(GroupVector* rows) {
  Indices low{}, high{};
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) {
    low[j] = (j & distance) != 0 ? j - distance + kLanes : j;
    high[j] = (j & distance) != 0 ? j + kLanes : j + distance;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & distance) == 0) {
      const GroupVector upper = rows[i], lower = rows[i + distance];
      rows[i] = shuffle(upper, lower, low);
      rows[i + distance] = shuffle(upper, lower, high);
    }
  }
  if constexpr (2 * distance < kLanes) {
    exchange<2 * distance>(rows);
  }
}

void pack_chosen_n(const Group* const* rows, std::size_t count, std::size_t depth, Group* panel) {
  for (std::size_t first = 0; first < count; first += kLanes) {
    for (std::size_t k = 0; k < depth; k += kLanes) {
      GroupVector block[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        block[i] = load_groups(rows[first + i] + k);
      }
      exchange<1>(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        *reinterpret_cast<GroupVector*>(panel + (k + i) * kNr + first) = block[i];
      }
    }
  }
}

void pack_chosen_k(const char* channels, const std::uint32_t* offsets, std::size_t depth,
                   Group* panel) {
  for (std::size_t k = 0; k < depth; ++k) {
    // Chosen rows lie anywhere: without this each would wait for memory.
    for (int i = 0; i < kKr; ++i) {
      __builtin_prefetch(channels + offsets[static_cast<int>(kPrefetchEntries) * kKr + i]);
    }
    merge_channels<kNr>(channels, offsets, panel);
    offsets += kKr;
    panel += kNr;
  }
}
