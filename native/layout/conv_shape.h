// The sizes of a two-dimensional convolution without groups or dilation.
#pragma once

#include <cstddef>

namespace adafuse {

struct ConvShape {
  std::size_t frames = 0;  // of all clips
  std::size_t in_channels = 0;
  std::size_t in_height = 0;
  std::size_t in_width = 0;
  std::size_t out_channels = 0;
  std::size_t kernel_height = 1;
  std::size_t kernel_width = 1;
  std::size_t stride_y = 1;
  std::size_t stride_x = 1;
  std::size_t pad_top = 0;
  std::size_t pad_left = 0;
  std::size_t pad_bottom = 0;
  std::size_t pad_right = 0;

  std::size_t padded_height() const { return pad_top + in_height + pad_bottom; }
  std::size_t padded_width() const { return pad_left + in_width + pad_right; }
  bool is_padded() const { return pad_top + pad_left + pad_bottom + pad_right > 0; }

  // The kernel must fit into the padded plane.
  std::size_t out_height() const { return (padded_height() - kernel_height) / stride_y + 1; }
  std::size_t out_width() const { return (padded_width() - kernel_width) / stride_x + 1; }

  std::size_t in_plane() const { return in_height * in_width; }
  std::size_t out_plane() const { return out_height() * out_width(); }
  std::size_t taps() const { return kernel_height * kernel_width; }
};

}  // namespace adafuse
