// References: the operators' definitions, computed the plain way in double precision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout/conv_shape.h"

namespace adafuse::reference {

inline std::vector<double> convolution(const ConvShape& s, const std::vector<float>& input,
                                       const std::vector<float>& weight,
                                       const std::vector<float>& bias) {
  std::vector<double> output;
  for (std::size_t n = 0; n < s.frames; ++n) {
    for (std::size_t o = 0; o < s.out_channels; ++o) {
      for (std::size_t y = 0; y < s.out_height(); ++y) {
        for (std::size_t x = 0; x < s.out_width(); ++x) {
          double sum = bias[o];
          for (std::size_t c = 0; c < s.in_channels; ++c) {
            for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
              for (std::size_t kx = 0; kx < s.kernel_width; ++kx) {
                // Unsigned arithmetic: what lies before the plane wraps round to beyond it.
                const std::size_t iy = y * s.stride_y + ky - s.pad_top;
                const std::size_t ix = x * s.stride_x + kx - s.pad_left;
                if (iy < s.in_height && ix < s.in_width) {
                  sum +=
                      double(
                          input[((n * s.in_channels + c) * s.in_height + iy) * s.in_width + ix]) *
                      weight[((o * s.in_channels + c) * s.kernel_height + ky) * s.kernel_width +
                             kx];
                }
              }
            }
          }
          output.push_back(sum);
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
