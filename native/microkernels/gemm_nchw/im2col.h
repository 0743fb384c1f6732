// im2col of one tile: input pixels in the order in which the micro-kernel reads them.
#pragma once

#include <cstddef>
#include <vector>

#include "layout/conv_shape.h"

namespace adafuse {

// The im2col packer: for consecutive output pixels of one plane, the input pixels under each tap.
//
// The pixels are cut into panels of at most `nr`.  A panel holds one row of its width per
// input channel and tap, and panels follow each other; the last is as wide as its pixels need,
// rounded up to `lanes` and filled with zeros.
//
// A packer is constant, so that all frames and threads share it; the caller lends the memory.
class Im2colPacker {
 public:
  Im2colPacker(const ConvShape& shape, std::size_t first_pixel, std::size_t pixels, std::size_t nr,
               std::size_t lanes);

  std::size_t panels() const { return panels_; }
  std::size_t width(std::size_t panel) const {
    return panel + 1 < panels_ ? panel_width_ : last_width_;
  }
  // Sum of the panels' widths.
  std::size_t total_width() const { return (panels_ - 1) * panel_width_ + last_width_; }
  // Floats from the first panel to another, if panels have `depth` rows.
  std::size_t begin(std::size_t panel, std::size_t depth) const {
    return panel * panel_width_ * depth;
  }

  // Floats of the border buffer that pack() needs, cleared once before its first use.
  std::size_t border_floats() const {
    return shape_.is_padded() ? row_count_ * shape_.padded_width() : 0;
  }

  // Packs the taps of an input channel as the rows from `row` on of panels of `depth` rows.
  void pack(const float* plane, std::size_t row, std::size_t depth, float* border_buffer,
            float* packed) const;

 private:
  // Output pixels that are neighbours in a panel and, a stride apart, in the input.
  struct Run {
    std::size_t panel;
    std::size_t lane;    // of the panel's rows, where the run begins
    std::size_t source;  // floats from the first input row to the first pixel
    std::size_t count;   // pixels
  };

  void copy_inside_border(const float* plane, float* border_buffer) const;
  void clear_tail(std::size_t row, std::size_t depth, float* packed) const;

  ConvShape shape_;
  std::size_t panel_width_;
  std::size_t panels_;
  std::size_t last_pixels_;
  std::size_t last_width_;
  std::size_t first_row_;  // of the padded plane, the part this tile reads
  std::size_t row_count_;
  std::vector<Run> runs_;
};

}  // namespace adafuse
