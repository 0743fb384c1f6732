// References: the operators' definitions, computed the plain way in double precision.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout/conv_shape.h"

namespace adafuse::reference {

// One weight after another is added to a whole plane, which the compiler makes vectors of; each
// value is summed in the order of channels and of the kernel's rows and columns.
inline std::vector<double> convolution(const ConvShape& s, const std::vector<float>& input,
                                       const std::vector<float>& weight,
                                       const std::vector<float>& bias) {
  const std::size_t out_height = s.out_height(), out_width = s.out_width();
  std::vector<double> output(s.frames * s.out_channels * out_height * out_width);
  double* plane = output.data();
  for (std::size_t n = 0; n < s.frames; ++n) {
    for (std::size_t o = 0; o < s.out_channels; ++o, plane += out_height * out_width) {
      std::fill_n(plane, out_height * out_width, double(bias[o]));
      for (std::size_t c = 0; c < s.in_channels; ++c) {
        for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
          for (std::size_t kx = 0; kx < s.kernel_width; ++kx) {
            const double factor =
                weight[((o * s.in_channels + c) * s.kernel_height + ky) * s.kernel_width + kx];
            // The columns of the output whose input lies in the frame.
            std::size_t first = 0, end = 0;
            for (std::size_t x = 0; x < out_width; ++x) {
              // Unsigned arithmetic: what lies before the plane wraps round to beyond it.
              if (x * s.stride_x + kx - s.pad_left < s.in_width) {
                first = end == 0 ? x : first;
                end = x + 1;
              }
            }
            for (std::size_t y = 0; y < out_height; ++y) {
              const std::size_t iy = y * s.stride_y + ky - s.pad_top;
              if (iy < s.in_height) {
                const std::size_t row = ((n * s.in_channels + c) * s.in_height + iy) * s.in_width;
                for (std::size_t x = first; x < end; ++x) {
                  plane[y * out_width + x] +=
                      double(input[row + x * s.stride_x + kx - s.pad_left]) * factor;
                }
              }
            }
          }
        }
      }
    }
  }
  return output;
}

// Applies a policy (clips, frames, channels) of 0 keep, 1 reuse, 2 skip to planes of any size.
inline std::vector<double> fuse(const std::vector<double>& raw,
                                const std::vector<std::int32_t>& policy, std::size_t clips,
                                std::size_t frames, std::size_t channels, std::size_t plane) {
  std::vector<double> fused(raw.size(), 0.0);
  for (std::size_t n = 0; n < clips; ++n) {
    for (std::size_t t = 0; t < frames; ++t) {
      for (std::size_t c = 0; c < channels; ++c) {
        const std::size_t here = (n * frames + t) * channels + c;
        for (std::size_t p = 0; p < plane; ++p) {
          if (policy[here] == 0) {
            fused[here * plane + p] = raw[here * plane + p];
          } else if (policy[here] == 1 && t > 0) {
            fused[here * plane + p] = raw[(here - channels) * plane + p];
          }
        }
      }
    }
  }
  return fused;
}

}  // namespace adafuse::reference
