#include "microkernels/gemm_nchw/im2col.h"

#include <algorithm>
#include <cstring>

namespace adafuse {
namespace {

// memcpy for the short, varying lengths of image rows: no call, no branch per element.
inline void copy_row(float* to, const float* from, std::size_t count) {
  for (; count >= 16; count -= 16, to += 16, from += 16) {
    std::memcpy(to, from, 16 * sizeof(float));
  }
  // The two halves of a remainder may overlap.
  if (count >= 8) {
    std::memcpy(to, from, 8 * sizeof(float));
    std::memcpy(to + count - 8, from + count - 8, 8 * sizeof(float));
  } else if (count >= 4) {
    std::memcpy(to, from, 4 * sizeof(float));
    std::memcpy(to + count - 4, from + count - 4, 4 * sizeof(float));
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      to[i] = from[i];
    }
  }
}

}  // namespace

Im2colPacker::Im2colPacker(const ConvShape& shape, std::size_t first_pixel, std::size_t pixels,
                           std::size_t nr, std::size_t lanes)
    : shape_(shape),
      panel_width_(nr),
      panels_((pixels + nr - 1) / nr),
      last_pixels_(pixels - (panels_ - 1) * nr),
      last_width_((last_pixels_ + lanes - 1) / lanes * lanes) {
  const std::size_t out_width = shape.out_width();
  const std::size_t source_width = shape.padded_width();
  const std::size_t first_y = first_pixel / out_width;
  const std::size_t last_y = (first_pixel + pixels - 1) / out_width;
  first_row_ = first_y * shape.stride_y;
  row_count_ = (last_y - first_y) * shape.stride_y + shape.kernel_height;

  for (std::size_t done = 0; done < pixels;) {
    const std::size_t y = (first_pixel + done) / out_width;
    const std::size_t x = (first_pixel + done) % out_width;
    const std::size_t lane = done % nr;
    const std::size_t source = (y - first_y) * shape.stride_y * source_width + x * shape.stride_x;
    const std::size_t count = std::min({out_width - x, nr - lane, pixels - done});
    const bool continues =
        shape.stride_x == 1 && lane > 0 && runs_.back().source + runs_.back().count == source;
    if (continues) {
      runs_.back().count += count;
    } else {
      runs_.push_back({done / nr, lane, source, count});
    }
    done += count;
  }
}

void Im2colPacker::pack(const float* plane, std::size_t row, std::size_t depth,
                        float* border_buffer, float* packed) const {
  const std::size_t source_width = shape_.padded_width();
  const float* source = plane + first_row_ * source_width;
  if (shape_.is_padded()) {
    copy_inside_border(plane, border_buffer);
    source = border_buffer;
  }
  for (std::size_t ky = 0; ky < shape_.kernel_height; ++ky) {
    for (std::size_t kx = 0; kx < shape_.kernel_width; ++kx, ++row) {
      const float* tap = source + ky * source_width + kx;
      for (const Run& run : runs_) {
        float* to = packed + begin(run.panel, depth) + row * width(run.panel) + run.lane;
        const float* from = tap + run.source;
        if (shape_.stride_x == 1) {
          copy_row(to, from, run.count);
        } else {
          for (std::size_t i = 0; i < run.count; ++i) {
            to[i] = from[i * shape_.stride_x];
          }
        }
      }
      clear_tail(row, depth, packed);
    }
  }
}

void Im2colPacker::copy_inside_border(const float* plane, float* border_buffer) const {
  const std::size_t begin = std::max(first_row_, shape_.pad_top);
  const std::size_t end = std::min(first_row_ + row_count_, shape_.pad_top + shape_.in_height);
  for (std::size_t row = begin; row < end; ++row) {
    copy_row(border_buffer + (row - first_row_) * shape_.padded_width() + shape_.pad_left,
             plane + (row - shape_.pad_top) * shape_.in_width, shape_.in_width);
  }
}

void Im2colPacker::clear_tail(std::size_t row, std::size_t depth, float* packed) const {
  float* tail = packed + begin(panels_ - 1, depth) + row * last_width_;
  std::fill(tail + last_pixels_, tail + last_width_, 0.0f);
}

}  // namespace adafuse
