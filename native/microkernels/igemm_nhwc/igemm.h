// Indirect-GEMM micro-kernels on NHWC: a tile of C (pixels x output channels) from pixels of A,
// which are addressed through a list of K entries, and a panel of packed B.
//
// Tile shape, of C:
//   - MR: pixels of a tile at most.  They form one or two groups; inside a group they are equally
//     spaced in memory.
//   - MR_GROUP: pixels of one group at most.
//   - NR: output channels of a panel of packed B.
//   - NR step: output channels are computed in multiples of it, a vector or half of one.
// Block shape, of K:
//   - KR: values of a K group, the 4 bytes of A or B that one lane multiplies: 1 in float32, 2 in
//     bfloat16, 4 in int8 (a VNNI group).
//   - K block: K groups that are multiplied at once where they follow each other in memory: 16 on
//   AMX,
//     1 elsewhere.
//
// Packed B is a panel after the other.  A row of a panel holds NR K groups, one per output channel.
// Any sum over inputs (dense or chosen channels, taps, frames) is a list of K entries, so the
// choice of channels is made outside, once for all data types.  docs/kernels.md draws this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "base/precision.h"
#include "base/processor.h"

namespace adafuse {

// One K group of the sum: byte offsets of its values from a pixel of A and of its row from a panel
// of B.
struct KEntry {
  std::int32_t a;
  std::int32_t b;
};

// The offset of a K entry.  Throws std::invalid_argument beyond 2 GiB.
inline std::int32_t k_offset(std::ptrdiff_t bytes) {
  if (bytes > std::numeric_limits<std::int32_t>::max() ||
      bytes < std::numeric_limits<std::int32_t>::min()) {
    throw std::invalid_argument(
        "the frames or weights are too large: two frames must fit into 2 GiB, and so must the "
        "weights of 32 outputs");
  }
  return static_cast<std::int32_t>(bytes);
}
inline std::int32_t k_offset(std::size_t bytes) {
  return k_offset(static_cast<std::ptrdiff_t>(bytes));
}

// Distance, in K entries, at which rows of B are prefetched: chosen rows defeat the processor's own
// prefetching.  Every list of K entries is followed by as many harmless ones.
constexpr std::size_t kPrefetchEntries = 24;

// Groups of pixels in a tile at most.
constexpr std::size_t kMaxGroups = 2;

// The part of the sum that reads one tensor.
struct GemmTerm {
  const char* groups[kMaxGroups];  // A: the first pixel of each group
  std::ptrdiff_t pixel_stride;     // A: bytes between the pixels of a group
  const char* weights;             // B: the panel
  const KEntry* entries;           // of K
  std::size_t depth;               // K entries
  // Factors per output channel for the accumulators of the terms before, or null; kInt8 alone.
  const float* rescale = nullptr;
  // Memory to prefetch, a cache line per K entry, or null: consecutive lines or, with
  // `prefetches_rows`, the line at the entry's offset into B, from here.  AMX prefetches no rows.
  const char* prefetch = nullptr;
  bool prefetches_rows = false;
};

// The epilogue's constants per output channel, whole panels of them.
struct EpiloguePerChannel {
  const float* bias;   // in units of the output
  const float* scale;  // factor of the accumulators; kInt8 alone

  EpiloguePerChannel from(std::size_t channel) const { return {bias + channel, scale + channel}; }
};

// The tile that the epilogue writes: max(lowest, bias + accumulators + residual_scale * residual),
// in kInt8 at most 255.
struct TileOutput {
  char* groups[kMaxGroups];          // C: the first pixel of each group
  std::ptrdiff_t pixel_stride;       // bytes
  const char* residual[kMaxGroups];  // null for none; may be the output itself
  std::ptrdiff_t residual_stride;    // bytes
  float residual_scale;
  float lowest;   // 0 for a ReLU
  float* totals;  // per output channel, or null: the tile's values are added to it
};

// The tile of C that one call computes.
struct TileSize {
  std::size_t pixels;    // of each group
  std::size_t groups;    // 1 or 2
  std::size_t channels;  // of the panel, rounded up to a multiple of the NR step
};

// One variant: a data type and an instruction set, a row of variants.cmake.
struct IgemmKernel {
  InstructionSet instruction_set;
  Precision precision;
  std::size_t mr;
  std::size_t mr_group;
  std::size_t nr;
  std::size_t nr_step;
  std::size_t k_block;

  // Computes a tile.  Behind the last channel of a pixel of C there is room for whole vectors.
  void (*run)(const TileSize& size, const GemmTerm* terms, std::size_t count,
              const EpiloguePerChannel& channels, const TileOutput& output);

  // Gives the calling thread's AMX tiles back.  That takes as long as many tiles of C: it is called
  // once after a number of run(), on the same thread.
  void (*release)();

  // Packs a panel of B for chosen N: K group k of rows[i] goes to place k * nr + i, for the whole
  // vectors that hold `count` rows.  `rows` has nr pointers, those from `count` on to zeros;
  // `depth`, in K groups, is a multiple of a vector's.
  void (*pack_chosen_n)(const std::uint32_t* const* rows, std::size_t count, std::size_t depth,
                        std::uint32_t* panel);

  // Packs a panel of B for chosen K: its row k merges KR rows of single input channels, which lie
  // at offsets[k * KR] ... offsets[k * KR + KR - 1] bytes from `channels`.  `depth`: rows of the
  // panel.
  void (*pack_chosen_k)(const char* channels, const std::uint32_t* offsets, std::size_t depth,
                        std::uint32_t* panel);

  // Bytes of a row of a panel: a K group per output channel, or a single input channel.
  std::size_t b_row_bytes() const { return nr * kGroupBytes; }
  std::size_t b_channel_row_bytes() const { return nr * value_bytes(precision); }

  // GemmTerm::prefetch for call `index` of the `count` calls that read one panel, where they share
  // out the prefetching of `next`, the panel that is read afterwards, or null.  The calls before
  // the last one prefetch a cache line of every row each; the last one, which may be short, none
  // (null).
  const char* prefetch_line(const char* next, std::size_t index, std::size_t count) const {
    const std::size_t lines = b_row_bytes() / kLine;
    const std::size_t begin = count > lines ? count - 1 - lines : 0;
    const bool takes = next != nullptr && begin <= index && index < begin + lines;
    return takes ? next + (index - begin) * kLine : nullptr;
  }
};

// The variants of a data type that this processor can run, the best first.
const std::vector<const IgemmKernel*>& igemm_kernels(Precision precision);

}  // namespace adafuse
