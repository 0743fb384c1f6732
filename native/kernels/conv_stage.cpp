#include "kernels/conv_stage.h"

#include <algorithm>

namespace adafuse {
namespace {

// Weights beyond this are read once per strip rather than once per tile.
constexpr std::size_t kWeightBytes = 384 * 1024;

const char* pixel(const ConvSource& source, const PixelTile::Position& at) {
  const InputShape& shape = source.shape;
  const auto position = [&](std::size_t p) {
    return static_cast<std::ptrdiff_t>(p * shape.stride) - static_cast<std::ptrdiff_t>(shape.pad());
  };
  return source.frame +
         shape.layout.offset(position(at.y) - static_cast<std::ptrdiff_t>(source.first_row),
                             position(at.x));
}

Segment segment(const ConvSource& source, std::size_t panel, std::size_t first_channel,
                const PixelTile& tile) {
  const InputShape& shape = source.shape;
  const std::size_t pad = shape.pad();
  // Rows of the kernel that lie in the border for every group add nothing.
  std::size_t begin = shape.kernel, end = 0;
  for (const PixelTile::Position& at : tile.at) {
    const std::size_t y = at.y * shape.stride;
    begin = std::min(begin, y < pad ? pad - y : 0);
    end = std::max(end, std::min(shape.kernel, shape.layout.height + pad - y));
  }
  return {{pixel(source, tile.at[0]), pixel(source, tile.at[1])},
          static_cast<std::ptrdiff_t>(shape.stride * shape.layout.pitch),
          source.weights[panel],
          source.steps.begin(begin),
          source.steps.depth(begin, end),
          source.rescale == nullptr ? nullptr : source.rescale + first_channel};
}

}  // namespace

void convolve(const TileKernel& kernel, const ConvSource* sources, std::size_t count,
              const ConvTarget& target, RowRange rows, std::size_t channels,
              std::size_t panel_begin, std::size_t panel_end, std::vector<PixelTile>& tiles) {
  tiles.clear();
  append_tiles(tiles, kernel, rows.begin, rows.end, target.layout.width);

  std::size_t weight_bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    weight_bytes += sources[i].weights.bytes * (panel_end - panel_begin);
  }
  const bool by_panels = weight_bytes > kWeightBytes || panel_end - panel_begin == 1;
  const auto run = [&](std::size_t panel, std::size_t index) {
    const PixelTile& tile = tiles[index];
    const PixelTile& next = tiles[std::min(index + 1, tiles.size() - 1)];
    const std::size_t first_channel = panel * kernel.panel_width();
    Segment segments[kMaxSources];
    for (std::size_t i = 0; i < count; ++i) {
      const ConvSource& source = sources[i];
      Segment& to = segments[i] = segment(source, panel, first_channel, tile);
      if (source.prefetches) {
        to.prefetch = pixel(source, next.at[0]);
      } else if (by_panels) {
        to.prefetch = kernel.line_of(source.weights.after(panel), index, tiles.size());
        to.prefetches_rows = true;
      }
    }
    const auto place = [&](const PixelTile::Position& at) {
      return target.layout.offset(static_cast<std::ptrdiff_t>(at.y - target.first_row),
                                  static_cast<std::ptrdiff_t>(at.x)) +
             first_channel * value_bytes(kernel.precision);
    };
    TileOutput output{};
    output.pixel_stride = output.residual_stride = static_cast<std::ptrdiff_t>(target.layout.pitch);
    for (std::size_t g = 0; g < kMaxGroups; ++g) {
      output.groups[g] = target.frame + place(tile.at[g]);
      output.residual[g] =
          target.residual == nullptr ? nullptr : target.residual + place(tile.at[g]);
    }
    output.residual_scale = target.residual_scale;
    output.sums = target.sums == nullptr ? nullptr : target.sums + first_channel;
    const std::size_t left = std::min(channels - first_channel, kernel.panel_width());
    kernel.run({tile.pixels, tile.groups, left}, segments, count,
               target.channels.from(first_channel), output);
  };

  if (by_panels) {
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
        run(panel, tile);
      }
    }
  } else {
    for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
      for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
        run(panel, tile);
      }
    }
  }
  kernel.end_runs();
}

}  // namespace adafuse
