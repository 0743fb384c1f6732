#include "microkernels/igemm_nhwc/loop_nest.h"

#include <algorithm>

namespace adafuse {
namespace {

// Bytes of packed B beyond which panels are the outer loop: weights are then read once per call,
// not once per tile.
constexpr std::size_t kWeightBytes = 384 * 1024;
// Bytes of a frame beyond which it does not stay in a second-level cache.
constexpr std::size_t kNearBytes = std::size_t{2} << 20;

// The first pixel of A under the kernel of an output pixel.
const char* pixel(const ConvTerm& source, const OutputTile::Position& at) {
  const InputShape& shape = source.shape;
  const auto position = [&](std::size_t p) {
    return static_cast<std::ptrdiff_t>(p * shape.stride) - static_cast<std::ptrdiff_t>(shape.pad());
  };
  return source.frame +
         shape.layout.offset(position(at.y) - static_cast<std::ptrdiff_t>(source.first_row),
                             position(at.x));
}

// Calls of the micro-kernel, one after the other, and the arguments that stay the same between
// them.
class TileRuns {
 public:
  TileRuns(const IgemmKernel& kernel, const ConvTerm* sources, std::size_t count,
           const ConvTarget& target, std::size_t channels, const OutputTile* tiles,
           std::size_t tile_count)
      : kernel_(kernel),
        sources_(sources),
        count_(count),
        target_(target),
        channels_(channels),
        tiles_(tiles),
        tile_count_(tile_count) {
    output_.pixel_stride = output_.residual_stride =
        static_cast<std::ptrdiff_t>(target.layout.pitch);
    output_.residual_scale = target.residual_scale;
    for (std::size_t i = 0; i < count; ++i) {
      const InputShape& shape = sources[i].shape;
      terms_[i].pixel_stride = static_cast<std::ptrdiff_t>(shape.stride * shape.layout.pitch);
    }
  }

  void take_panel(std::size_t panel) {
    panel_ = panel;
    const std::size_t first_channel = panel * kernel_.nr;
    for (std::size_t i = 0; i < count_; ++i) {
      const float* const rescale = sources_[i].rescale;
      terms_[i].weights = sources_[i].weights[panel];
      terms_[i].rescale = rescale == nullptr ? nullptr : rescale + first_channel;
    }
    output_.totals = target_.totals == nullptr ? nullptr : target_.totals + first_channel;
  }

  void take_tile(std::size_t index) {
    index_ = index;
    const OutputTile& next = tiles_[std::min(index + 1, tile_count_ - 1)];
    for (std::size_t i = 0; i < count_; ++i) {
      const ConvTerm& source = sources_[i];
      take_pixels(source, terms_[i]);
      if (source.prefetches) {
        terms_[i].prefetch = pixel(source, next.at[0]);
      }
    }
    for (std::size_t g = 0; g < kMaxGroups; ++g) {
      places_[g] = place(tile().at[g]);
    }
    next_place_ = place(next.at[0]);
  }

  // Lets the tiles of a panel, where they follow each other, prefetch the next panel or, behind the
  // last, the memory that it will be packed from.
  void prefetch_panel() {
    for (std::size_t i = 0; i < count_; ++i) {
      const BPanels& weights = sources_[i].weights;
      GemmTerm& term = terms_[i];
      if (sources_[i].prefetches) {
        continue;
      }
      const char* const next = weights.after(panel_);
      term.prefetches_rows = next != nullptr;
      if (term.prefetches_rows) {
        term.prefetch = kernel_.prefetch_line(next, index_, tile_count_);
      } else {
        const std::size_t done = index_ * term.depth * kLine;
        const bool left = weights.source != nullptr && done < weights.source_bytes;
        term.prefetch = left ? weights.source + done : nullptr;
      }
    }
  }

  // Lets the panels of a tile, where they follow each other, `done` of them so far, prefetch the
  // next tile's pixels of the residual and then of the output.
  void prefetch_pixels(std::size_t done) {
    if (sources_[0].prefetches || target_.layout.frame_pitch() < kNearBytes) {
      return;
    }
    GemmTerm& term = terms_[0];
    const std::size_t bytes = tile().pixels * tile().groups * target_.layout.pitch;
    const std::size_t begin = done * term.depth * kLine;
    const std::size_t added = target_.residual == nullptr ? 0 : bytes;
    term.prefetch = begin < added           ? target_.residual + next_place_ + begin
                    : begin < added + bytes ? target_.frame + next_place_ + (begin - added)
                                            : nullptr;
  }

  void run() {
    const std::size_t first_channel = panel_ * kernel_.nr;
    for (std::size_t g = 0; g < kMaxGroups; ++g) {
      const std::size_t place = places_[g] + first_channel * value_bytes(kernel_.precision);
      output_.groups[g] = target_.frame + place;
      output_.residual[g] = target_.residual == nullptr ? nullptr : target_.residual + place;
    }
    const std::size_t left = std::min(channels_ - first_channel, kernel_.nr);
    kernel_.run({tile().pixels, tile().groups, left}, terms_, count_,
                target_.channels.from(first_channel), output_);
  }

 private:
  const OutputTile& tile() const { return tiles_[index_]; }

  // Bytes into a frame of the target.
  std::size_t place(const OutputTile::Position& at) const {
    return target_.layout.offset(static_cast<std::ptrdiff_t>(at.y - target_.first_row),
                                 static_cast<std::ptrdiff_t>(at.x));
  }

  void take_pixels(const ConvTerm& source, GemmTerm& term) const {
    const InputShape& shape = source.shape;
    const std::size_t pad = shape.pad();
    // Rows of the kernel that lie in the border for every group add nothing.
    std::size_t begin = shape.kernel, end = 0;
    for (std::size_t g = 0; g < kMaxGroups; ++g) {
      const std::size_t y = tile().at[g].y * shape.stride;
      begin = std::min(begin, y < pad ? pad - y : 0);
      end = std::max(end, std::min(shape.kernel, shape.layout.height + pad - y));
      term.groups[g] = pixel(source, tile().at[g]);
    }
    term.entries = source.indirection.begin(begin);
    term.depth = source.indirection.depth(begin, end);
  }

  const IgemmKernel& kernel_;
  const ConvTerm* const sources_;
  const std::size_t count_;
  const ConvTarget& target_;
  const std::size_t channels_;
  const OutputTile* const tiles_;
  const std::size_t tile_count_;
  std::size_t panel_ = 0, index_ = 0;
  std::size_t places_[kMaxGroups] = {}, next_place_ = 0;
  GemmTerm terms_[kMaxSources] = {};
  TileOutput output_{};
};

}  // namespace

void convolve(const IgemmKernel& kernel, const ConvTerm* sources, std::size_t count,
              const ConvTarget& target, ImageRows rows, std::size_t channels,
              std::size_t panel_begin, std::size_t panel_end, Arena& scratch) {
  const std::size_t mark = scratch.mark(), width = target.layout.width;
  OutputTile* const tiles =
      scratch.take<OutputTile>(most_tiles(kernel, rows.end - rows.begin, width));
  const std::size_t tile_count = make_tiles(kernel, rows.begin, rows.end, width, tiles);
  TileRuns runs(kernel, sources, count, target, channels, tiles, tile_count);
  std::size_t weight_bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    weight_bytes += sources[i].weights.bytes * (panel_end - panel_begin);
  }
  if (weight_bytes > kWeightBytes || panel_end - panel_begin == 1) {
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      runs.take_panel(panel);
      for (std::size_t tile = 0; tile < tile_count; ++tile) {
        runs.take_tile(tile);
        runs.prefetch_panel();
        runs.run();
      }
    }
  } else {
    for (std::size_t tile = 0; tile < tile_count; ++tile) {
      runs.take_tile(tile);
      for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
        runs.take_panel(panel);
        runs.prefetch_pixels(panel - panel_begin);
        runs.run();
      }
    }
  }
  kernel.release();
  scratch.rewind(mark);
}

void add_convolve(ArenaSize& size, const IgemmKernel& kernel, std::size_t rows, std::size_t width) {
  size.add<OutputTile>(most_tiles(kernel, rows, width));
}

}  // namespace adafuse
