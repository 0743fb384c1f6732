#include "operators/stem.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>

#include "microkernels/igemm_nhwc/pixel_tiles.h"
#include "operators/cut.h"

namespace adafuse {
namespace {

constexpr std::size_t kPoolStride = 2;
constexpr float kPictureOffset = 128;  // added to a picture's integers when they are stored
// Pooled rows of a task at least, because neighbouring tasks both convolve a row between them.
constexpr std::size_t kLeastRows = 7;

// Values under a row of the kernel, rounded up to whole K blocks; those behind the row meet weights
// of zero.
std::size_t row_values(const IgemmKernel& kernel, std::size_t inputs, std::size_t size) {
  return round_up(size * inputs, kernel.k_block * kr(kernel.precision));
}

// Weights as (outputs, values, size): a row of the kernel lies over one run of values, so its
// pixels become channels and its rows taps.
std::vector<float> rows_as_taps(const ConvWeights& conv, std::size_t size, std::size_t values) {
  std::vector<float> weights(conv.outputs * values * size);
  for (std::size_t output = 0; output < conv.outputs; ++output) {
    const float* const filter = conv.weight + output * conv.inputs * conv.taps;
    float* to = weights.data() + output * values * size;
    for (std::size_t x = 0; x < size; ++x) {
      for (std::size_t input = 0; input < conv.inputs; ++input) {
        for (std::size_t y = 0; y < size; ++y) {
          *to++ = filter[(input * size + y) * size + x];
        }
      }
    }
  }
  return weights;
}

constexpr std::size_t kMostKernel = 63;

std::size_t kernel_size(const ConvWeights& conv) {
  std::size_t size = 1;
  while (size * size < conv.taps && size < kMostKernel) {
    size += 2;
  }
  if (size * size != conv.taps) {
    throw std::invalid_argument("the kernel must be square and of an odd size up to 63");
  }
  return size;
}

// Returns the convolution if all fits, before anything is packed.
const ConvWeights& validated(const ConvWeights& conv, std::size_t stride, const StemPool& pool) {
  kernel_size(conv);
  if (conv.weight == nullptr) {
    throw std::invalid_argument("the weights must be (outputs, inputs, k, k)");
  }
  if (conv.inputs == 0 || conv.outputs == 0) {
    throw std::invalid_argument("there must be inputs and outputs");
  }
  if (stride == 0 || pool.pad > 1) {
    throw std::invalid_argument("stride must be positive and pool_pad 0 or 1");
  }
  return conv;
}

PackedB pack(const IgemmKernel& kernel, const ConvWeights& conv) {
  const std::size_t size = kernel_size(conv);
  const std::size_t values = row_values(kernel, conv.inputs, size);
  const std::vector<float> weights = rows_as_taps(conv, size, values);
  return {kernel, {weights.data(), conv.bias, conv.outputs, values, size}, {}};
}

// Compiles a function twice.  Not under ThreadSanitizer, which starts after the clone is chosen.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define FOR_WIDE_VECTORS [[gnu::target_clones("avx2", "default")]]
#else
#define FOR_WIDE_VECTORS
#endif

// Store a line of floats, `step` values from one to the next.
inline void spread(const float* line, std::size_t count, std::size_t step, float* to) {
  for (std::size_t i = 0; i < count; ++i) {
    to[i * step] = line[i];
  }
}
inline void spread(const float* line, std::size_t count, std::size_t step, std::uint16_t* to) {
  for (std::size_t i = 0; i < count; ++i) {
    to[i * step] = to_bfloat16(line[i]);
  }
}
FOR_WIDE_VECTORS void spread_integers(const float* line, std::size_t count, float factor,
                                      std::size_t step, char* to) {
  for (std::size_t i = 0; i < count; ++i) {
    to[i * step] =
        static_cast<char>(to_integer(line[i] * factor, -kPictureOffset, kPictureOffset - 1) +
                          static_cast<std::int32_t>(kPictureOffset));
  }
}

}  // namespace

// Sizes of one frame, in pixels.
struct Stem::Plane {
  std::size_t height, width;            // of the input
  std::size_t conv_height, conv_width;  // of the convolution's result, which is pooled
  std::size_t pixel_row;                // bytes of a padded row of input pixels
  std::size_t pitch;                    // bytes of a convolved pixel
  NhwcLayout output;
  std::vector<KEntry> entries;    // of the convolution
  std::vector<OutputTile> tiles;  // of a convolved row
};

std::size_t StemPool::output_size(std::size_t input) const {
  const std::size_t padded = input + 2 * pad;
  if (padded < kPoolWindow) {
    return ceil && input > 0 ? 1 : 0;
  }
  const std::size_t room = padded - kPoolWindow + (ceil ? kPoolStride - 1 : 0);
  const std::size_t size = room / kPoolStride + 1;
  return (size - 1) * kPoolStride >= input + pad ? size - 1 : size;  // no window in padding only
}

Stem::Stem(const ConvWeights& conv, std::size_t stride, const StemPool& pool, std::size_t border,
           const IgemmKernel& kernel, const StemScales& scales)
    : kernel_(kernel),
      pool_kernel_(pool3x3_kernel(kernel.precision, kernel.instruction_set)),
      in_channels_(validated(conv, stride, pool).inputs),
      out_channels_(conv.outputs),
      size_(kernel_size(conv)),
      stride_(stride),
      pool_(pool),
      border_(border),
      weights_(pack(kernel, conv)),
      scales_(scales),
      epilogue_(kernel, conv, scales.input, scales.output) {
  if (kernel.precision == Precision::kInt8) {
    epilogue_.take_offset(conv, kPictureOffset);
  }
}

NhwcLayout stem_layout(const NhwcLayout& picture, std::size_t stride, const StemPool& pool) {
  const auto size = [&](std::size_t input) {
    return pool.output_size((input + stride - 1) / stride);
  };
  return {size(picture.height), size(picture.width), picture.border, picture.pitch};
}

NhwcLayout Stem::output_layout(std::size_t height, std::size_t width) const {
  return stem_layout({height, width, border_, channel_pitch(out_channels_, kernel_.precision)},
                     stride_, pool_);
}

std::vector<KEntry> Stem::entries(std::size_t pixel_row) const {
  const std::size_t k_groups = row_values(kernel_, in_channels_, size_) / kr(kernel_.precision);
  std::vector<KEntry> entries;
  for (std::size_t ky = 0; ky < size_; ++ky) {
    for (std::size_t k_group = 0; k_group < k_groups; ++k_group) {
      entries.push_back({k_offset(ky * pixel_row + k_group * kGroupBytes),
                         k_offset((ky * k_groups + k_group) * kernel_.b_row_bytes())});
    }
  }
  return entries;
}

std::size_t Stem::padded_bytes(const Plane& plane, std::size_t rows) const {
  return rows * plane.pixel_row + kLine;
}

// Writes rows [first, first + count) of a padded picture with channels innermost.
void Stem::pad_rows(const Plane& plane, const float* input, std::size_t first, std::size_t count,
                    char* pixels) const {
  const Precision precision = kernel_.precision;
  const bool integers = precision == Precision::kInt8;
  std::memset(pixels, integers ? static_cast<int>(kPictureOffset) : 0, padded_bytes(plane, count));
  const std::size_t pad = size_ / 2;
  for (std::size_t row = 0; row < count; ++row) {
    const std::size_t y = first + row - pad;  // wraps round above the picture
    for (std::size_t c = 0; y < plane.height && c < in_channels_; ++c) {
      const float* const line = input + (c * plane.height + y) * plane.width;
      const std::size_t place = pad * in_channels_ + c;
      char* const to = pixels + row * plane.pixel_row + place * value_bytes(precision);
      if (precision == Precision::kFloat32) {
        spread(line, plane.width, in_channels_, reinterpret_cast<float*>(to));
      } else if (precision == Precision::kBFloat16) {
        spread(line, plane.width, in_channels_, reinterpret_cast<std::uint16_t*>(to));
      } else {
        spread_integers(line, plane.width, 1 / scales_.input, in_channels_, to);
      }
    }
  }
}

void Stem::convolve_row(const Plane& plane, const char* pixels, char* row) const {
  const std::size_t value = value_bytes(kernel_.precision);
  const std::size_t step = stride_ * in_channels_ * value;
  const BPanels panels = weights_.panels();
  for (std::size_t panel = 0; panel < weights_.count(); ++panel) {
    const std::size_t first = panel * kernel_.nr;
    for (const OutputTile& tile : plane.tiles) {
      GemmTerm term{{},
                    static_cast<std::ptrdiff_t>(step),
                    panels[panel],
                    plane.entries.data(),
                    plane.entries.size() - kPrefetchEntries};
      TileOutput output{};
      output.pixel_stride = static_cast<std::ptrdiff_t>(plane.pitch);
      for (std::size_t g = 0; g < kMaxGroups; ++g) {
        term.groups[g] = pixels + tile.at[g].x * step;
        output.groups[g] = row + tile.at[g].x * plane.pitch + first * value;
      }
      const std::size_t left = std::min(out_channels_ - first, kernel_.nr);
      kernel_.run({tile.pixels, tile.groups, left}, &term, 1, epilogue_.channels().from(first),
                  output);
    }
  }
}

void Stem::pool_row(const Plane& plane, const std::array<const char*, kPoolWindow>& rows,
                    char* output, float* partials) const {
  PoolRow row{false,
              kPoolStride,
              pool_.pad,
              {},
              static_cast<std::ptrdiff_t>(plane.pitch),
              plane.conv_width,
              round_up(out_channels_, kr(kernel_.precision)),
              output,
              static_cast<std::ptrdiff_t>(plane.output.pitch),
              plane.output.width,
              1,
              partials};
  std::copy(rows.begin(), rows.end(), row.rows);
  pool_kernel_.run(row);
}

void Stem::run(const float* input, std::size_t frames, std::size_t height, std::size_t width,
               char* output, float* pooled, const ParallelFor& parallel_for,
               Workspaces& workspaces) const {
  const std::size_t value = value_bytes(kernel_.precision);
  Plane plane{height,
              width,
              (height + stride_ - 1) / stride_,
              (width + stride_ - 1) / stride_,
              round_up((width + 2 * (size_ / 2)) * in_channels_ * value, kGroupBytes),
              channel_pitch(out_channels_, kernel_.precision),
              output_layout(height, width),
              {},
              std::vector<OutputTile>(most_tiles(kernel_, 1, ceil_div(width, stride_)))};
  plane.tiles.resize(make_tiles(kernel_, 0, 1, plane.conv_width, plane.tiles.data()));
  plane.entries = entries(plane.pixel_row);
  plane.entries.insert(plane.entries.end(), kPrefetchEntries,
                       plane.entries.back());  // only prefetched
  const NhwcLayout& layout = plane.output;
  if (checked_product({frames, layout.height, layout.width}) == 0) {
    return;
  }
  const std::size_t parts = std::clamp((kEnoughTasks + frames - 1) / frames, std::size_t{1},
                                       (layout.height + kLeastRows - 1) / kLeastRows);
  const std::size_t stored = round_up(out_channels_, kLine / sizeof(float));  // whole vectors
  // Convolved rows under the most pooled rows of a task, and the picture's rows under these.
  const std::size_t most = most_rows(layout.height, 1, parts);
  const std::size_t conv_rows = (most - 1) * kPoolStride + kPoolWindow;
  const std::size_t picture_rows = (conv_rows - 1) * stride_ + size_;
  const std::size_t conv_row = plane.conv_width * plane.pitch;
  ArenaSize size, task_size;
  size.add<float>(frames * parts * stored);
  task_size.add_bytes(padded_bytes(plane, picture_rows));
  task_size.add_bytes(kPoolWindow * conv_row + kLine);
  Arena memory(workspaces.runs, size);
  float* const partials = memory.take<float>(frames * parts * stored);
  parallel_for(frames * parts, [&](std::size_t task) {
    const std::size_t frame = task / parts, part = task % parts;
    const std::size_t begin = layout.height * part / parts;
    const std::size_t end = layout.height * (part + 1) / parts;
    char* const pooled_frame = output + frame * layout.frame_pitch();
    layout.clear_border(pooled_frame, begin, end);
    float* const total = partials + task * stored;
    std::fill_n(total, stored, 0.0f);
    // Convolved rows that pooling reads, and the rows of the picture that these need.
    const std::size_t first = begin * kPoolStride - std::min(begin * kPoolStride, pool_.pad);
    const std::size_t last =
        std::min(plane.conv_height, (end - 1) * kPoolStride + kPoolWindow - pool_.pad);
    const std::size_t count = (last - 1 - first) * stride_ + size_;
    Arena scratch(workspaces.tasks, task_size);
    char* const pixels = scratch.take_bytes(padded_bytes(plane, count));
    pad_rows(plane, input + frame * in_channels_ * height * width, first * stride_, count, pixels);
    char* const ring = scratch.take_bytes(kPoolWindow * conv_row + kLine);
    std::size_t done = first;
    for (std::size_t y = begin; y < end; ++y) {
      std::array<const char*, kPoolWindow> window{};
      for (std::size_t ky = 0; ky < kPoolWindow; ++ky) {
        const std::size_t from =
            y * kPoolStride + ky - pool_.pad;  // above the frame: wraps round, beyond its height
        if (from >= plane.conv_height) {
          continue;
        }
        char* const at = ring + from % kPoolWindow * conv_row;
        for (; done <= from; ++done) {  // the next window shares a row
          convolve_row(plane, pixels + (done - first) * stride_ * plane.pixel_row,
                       ring + done % kPoolWindow * conv_row);
        }
        window[ky] = at;
      }
      pool_row(plane, window, pooled_frame + layout.offset(static_cast<std::ptrdiff_t>(y), 0),
               total);
    }
    kernel_.release();
  });
  const float scale = scales_.output / static_cast<float>(layout.height * layout.width);
  for (std::size_t frame = 0; frame < frames; ++frame) {
    for (std::size_t c = 0; c < out_channels_; ++c) {
      float total = 0;
      for (std::size_t part = 0; part < parts; ++part) {
        total += partials[(frame * parts + part) * stored + c];
      }
      pooled[frame * out_channels_ + c] = total * scale;
    }
  }
}

}  // namespace adafuse
