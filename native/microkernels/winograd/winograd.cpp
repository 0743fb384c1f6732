#include "microkernels/winograd/winograd.h"

#include <algorithm>
#include <limits>

namespace adafuse {
namespace {

// Bytes of transformed tiles at a time: half of a usual second-level cache.
constexpr std::size_t kTileBytes = 512 * 1024;

// Bytes from point to point: an odd number of cache lines, so that the points of a tile do not
// share cache sets.
std::size_t odd_lines(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, kLine);
  return whole / kLine % 2 == 0 ? whole + kLine : whole;
}

// Bytes from tile to tile at one point, with room for a vector behind the last channel.
std::size_t tile_pitch(std::size_t channels) {
  return channel_pitch(channels + kLine / sizeof(float) - 1, Precision::kFloat32);
}

// Transforms three weights to values at the points, each divided by the product of the differences
// between its point and the others.
void weights_to_points(const float* g, std::size_t stride, float* at, std::size_t at_stride) {
  constexpr float kNear = 0.70710678118654752f, kFar = 1.4142135623730950f;
  const float near_even = (g[0] + 0.5f * g[2 * stride]) / -1.5f;
  const float near_odd = kNear * g[stride] / -1.5f;
  const float far_even = (g[0] + 2.0f * g[2 * stride]) / 6.0f;
  const float far_odd = kFar * g[stride] / 6.0f;
  at[0] = g[0];
  at[at_stride] = near_even + near_odd;
  at[2 * at_stride] = near_even - near_odd;
  at[3 * at_stride] = far_even + far_odd;
  at[4 * at_stride] = far_even - far_odd;
  at[5 * at_stride] = g[2 * stride];
}

}  // namespace

WinogradWeights::WinogradWeights(const ConvWeights& conv)
    : weights_(conv.outputs * conv.inputs * kWinogradPoints), conv_(conv) {
  std::vector<float> buffer;
  const float* from = in_onnx_order(conv, buffer).weight;
  float* to = weights_.data();
  for (std::size_t i = 0; i < conv.outputs * conv.inputs; ++i) {
    float columns[kWinogradTile * 3];
    for (std::size_t x = 0; x < 3; ++x) {
      weights_to_points(from + x, 3, columns + x, 3);
    }
    for (std::size_t y = 0; y < kWinogradTile; ++y) {
      weights_to_points(columns + y * 3, 1, to + y * kWinogradTile, 1);
    }
    from += 9;
    to += kWinogradPoints;
  }
  conv_.weight = weights_.data();
  conv_.panels = nullptr;
  conv_.lasting = false;
  conv_.taps = kWinogradPoints;
}

void WinogradInput::clear() {
  channels_ = 0;
  runs_.clear();
  terms_.clear();
  entries_.clear();
}

void WinogradInput::add_run(const char* frame, const InputShape& input, const ChannelRun& run) {
  if (run.begin < run.end) {
    runs_.push_back({frame + run.begin * sizeof(float), input.layout, run.end - run.begin});
    channels_ += run.end - run.begin;
  }
}

void WinogradInput::begin_term(std::size_t channels, const IgemmKernel& kernel) const {
  k_offset((channels_ + channels) * sizeof(float));
  k_offset(channels * kernel.b_row_bytes());
}

void WinogradInput::end_term(std::size_t first_entry, std::size_t b_rows) {
  terms_.push_back({first_entry, entries_.size() - first_entry, b_rows});
  // Behind the last entry: only prefetched.
  entries_.insert(entries_.end(), kPrefetchEntries,
                  entries_.empty() ? KEntry{0, 0} : entries_.back());
}

void WinogradInput::add(const char* frame, const InputShape& input, const TemporalShift& shift,
                        Neighbours neighbours, const IgemmKernel& kernel) {
  const std::size_t pitch = input.layout.frame_pitch(), first_entry = entries_.size();
  const std::array<ChannelRun, 3> runs = shift.runs(input.channels);
  const std::array<bool, 3> present{neighbours.next, neighbours.previous, true};
  const std::array<const char*, 3> frames{frame + pitch, frame - pitch, frame};
  std::size_t weight = 0;
  begin_term(input.channels, kernel);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::size_t count = runs[i].end - runs[i].begin;
    for (std::size_t channel = 0; present[i] && channel < count; ++channel) {
      entries_.push_back({static_cast<std::int32_t>((channels_ + channel) * sizeof(float)),
                          static_cast<std::int32_t>((weight + channel) * kernel.b_row_bytes())});
    }
    if (present[i]) {
      add_run(frames[i], input, runs[i]);
    }
    weight += count;
  }
  end_term(first_entry, input.channels);
}

void WinogradInput::add(const char* frame, const InputShape& input, const ChannelOrder& own,
                        const ChannelOrder* previous, std::ptrdiff_t distance,
                        const IgemmKernel& kernel) {
  const std::size_t first_entry = entries_.size();
  begin_term(2 * input.channels, kernel);  // of two frames at most
  const auto append = [&](const char* from, const ChannelOrder& stored, ChannelRun run) {
    for (std::size_t place = run.begin; place < run.end; ++place) {
      entries_.push_back(
          {static_cast<std::int32_t>((channels_ + place - run.begin) * sizeof(float)),
           static_cast<std::int32_t>(stored[place] * kernel.b_row_bytes())});
    }
    add_run(from, input, run);
  };
  append(frame, own, {0, own.kept()});
  if (previous != nullptr) {
    append(frame + distance, *previous, {previous->lent_begin(), previous->size()});
  }
  end_term(first_entry, input.channels);
}

WinogradTiles::WinogradTiles(const IgemmKernel& kernel, const WinogradInput& reads, ImageRows rows,
                             std::size_t height, std::size_t width)
    : kernel_(kernel),
      transforms_(winograd_kernel(kernel.instruction_set)),
      reads_(reads),
      rows_(rows),
      height_(height),
      width_(width),
      columns_(ceil_div(width, kWinogradOutput)),
      count_(ceil_div(rows.end - rows.begin, kWinogradOutput) * columns_),
      pitch_(tile_pitch(reads.channels())),
      point_pitch_(odd_lines(count_ * pitch_)),
      product_pitch_(odd_lines(count_ * kernel.b_row_bytes())) {}

// Calls body with a tile's number and the output pixel it begins with.
template <typename Body>
void WinogradTiles::for_each_tile(Body body) const {
  std::size_t number = 0;
  for (std::size_t y = rows_.begin; y < rows_.end; y += kWinogradOutput) {
    for (std::size_t x = 0; x < width_; x += kWinogradOutput) {
      body(number++, y, x);
    }
  }
}

void WinogradTiles::transform(char* memory) const {
  for_each_tile([&](std::size_t number, std::size_t y, std::size_t x) {
    char* to = memory + number * pitch_;
    for (const WinogradInput::Run& run : reads_.runs_) {
      const NhwcLayout& layout = run.layout;
      transforms_.transform_input(
          {run.first + layout.offset(static_cast<std::ptrdiff_t>(y) - 1,
                                     static_cast<std::ptrdiff_t>(x) - 1),
           static_cast<std::ptrdiff_t>(layout.row_pitch()),
           static_cast<std::ptrdiff_t>(layout.pitch), height_ + 2 - y, width_ + 2 - x},
          run.channels, to, static_cast<std::ptrdiff_t>(point_pitch_));
      to += run.channels * sizeof(float);
    }
  });
}

void WinogradTiles::multiply(const char* memory, const BPanels* weights, std::size_t panel,
                             std::size_t channels, std::size_t point, char* products) const {
  alignas(kLine) static constexpr float kNoBias[256] = {};
  const std::size_t row = kernel_.b_row_bytes();
  GemmTerm gemm_terms[kMaxSources];
  const char* next[kMaxSources];  // weights, of the next point or the next panel
  const std::size_t terms = reads_.terms_.size();
  for (std::size_t i = 0; i < terms; ++i) {
    const WinogradInput::Term& term = reads_.terms_[i];
    const std::size_t bytes = term.b_rows * row;
    gemm_terms[i] = {{},
                     static_cast<std::ptrdiff_t>(pitch_),
                     weights[i][panel] + point * bytes,
                     reads_.entries_.data() + term.first_entry,
                     term.depth};
    gemm_terms[i].prefetches_rows = true;
    next[i] = point + 1 < kWinogradPoints ? gemm_terms[i].weights + bytes : weights[i].after(panel);
  }
  TileOutput output{};
  output.pixel_stride = static_cast<std::ptrdiff_t>(row);
  output.lowest = -std::numeric_limits<float>::infinity();
  const char* const inputs = memory + point * point_pitch_;
  char* const outputs = products + point * product_pitch_;
  // Parts of equally many tiles, at most MR.
  const std::size_t parts = ceil_div(count_, kernel_.mr);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = count_ * part / parts, end = count_ * (part + 1) / parts;
    const std::size_t groups = end - begin > kernel_.mr_group ? 2 : 1;
    for (std::size_t i = 0; i < terms; ++i) {
      gemm_terms[i].prefetch = kernel_.prefetch_line(next[i], part, parts);
    }
    std::size_t at = begin;
    // An odd number is two groups of equal length and one more tile.
    while (at < end) {
      const std::size_t left = end - at;
      const std::size_t taken = groups == 2 && left > 1 ? left / 2 : left;
      const std::size_t used = groups == 2 && left > 1 ? 2 : 1;
      for (std::size_t g = 0; g < kMaxGroups; ++g) {
        const std::size_t first = at + (g < used ? g * taken : 0);
        for (std::size_t i = 0; i < terms; ++i) {
          gemm_terms[i].groups[g] = inputs + first * pitch_;
        }
        output.groups[g] = outputs + first * row;
      }
      kernel_.run({taken, used, channels}, gemm_terms, terms, {kNoBias, kNoBias}, output);
      at += taken * used;
    }
  }
}

void WinogradTiles::finish(const char* products, const ConvTarget& target, bool rectify,
                           std::size_t panel, std::size_t channels) const {
  const std::size_t first_channel = panel * kernel_.nr;
  const NhwcLayout& layout = target.layout;
  for_each_tile([&](std::size_t number, std::size_t y, std::size_t x) {
    const std::size_t place = layout.offset(static_cast<std::ptrdiff_t>(y - target.first_row),
                                            static_cast<std::ptrdiff_t>(x)) +
                              first_channel * sizeof(float);
    transforms_.transform_output(
        products + number * kernel_.b_row_bytes(), static_cast<std::ptrdiff_t>(product_pitch_),
        channels,
        {target.frame + place, static_cast<std::ptrdiff_t>(layout.row_pitch()),
         static_cast<std::ptrdiff_t>(layout.pitch), rows_.end - y, width_ - x,
         target.channels.bias + first_channel,
         target.residual == nullptr ? nullptr : target.residual + place,
         rectify ? 0.0f : -std::numeric_limits<float>::infinity(),
         target.totals == nullptr ? nullptr : target.totals + first_channel});
  });
}

void WinogradFrames::resize(std::size_t frames) {
  frames_ = frames;
  reads_.resize(std::max(reads_.size(), frames));
}

std::size_t WinogradFrames::plan(const IgemmKernel& kernel, std::size_t height, std::size_t width) {
  tiles_.clear();
  begins_.clear();
  std::size_t bytes = 0;
  for (std::size_t frame = 0; frame < frames_; ++frame) {
    tiles_.emplace_back(kernel, reads_[frame], ImageRows{0, height}, height, width);
    begins_.push_back(bytes);
    bytes += tiles_.back().bytes();
  }
  return bytes;
}

void WinogradFrames::transform(char* memory, const ParallelFor& parallel_for) {
  memory_ = memory;
  parallel_for(frames_,
               [&](std::size_t frame) { tiles_[frame].transform(memory + begins_[frame]); });
}

std::size_t WinogradFrames::scratch_bytes(std::size_t count) const {
  ArenaSize size;
  // All frames have equally many tiles.
  size.add_bytes(tiles_.empty() ? 0 : count * tiles_.front().product_bytes());
  return size.bytes();
}

void convolve_winograd(const WinogradFrame* frames, std::size_t count, bool rectify,
                       std::size_t panel, std::size_t channels, Arena& scratch) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    bytes += frames[i].tiles.product_bytes();
  }
  const std::size_t mark = scratch.mark();
  char* const products = scratch.take_bytes(bytes);
  // Frames innermost: a point's weights stay in cache.
  for (std::size_t point = 0; point < kWinogradPoints; ++point) {
    char* at = products;
    for (std::size_t i = 0; i < count; ++i) {
      const WinogradFrame& frame = frames[i];
      frame.tiles.multiply(frame.memory, frame.weights, panel, channels, point, at);
      at += frame.tiles.product_bytes();
    }
  }
  const char* at = products;
  for (std::size_t i = 0; i < count; ++i) {
    frames[i].tiles.finish(at, frames[i].target, rectify, panel, channels);
    at += frames[i].tiles.product_bytes();
  }
  scratch.rewind(mark);
}

void convolve_winograd(const IgemmKernel& kernel, const WinogradInput& reads,
                       const BPanels* weights, const ConvTarget& target, bool rectify,
                       ImageRows rows, std::size_t height, std::size_t width, std::size_t channels,
                       std::size_t panel_begin, std::size_t panel_end, Arena& scratch) {
  const std::size_t strip = winograd_strip(reads, width);
  for (std::size_t begin = rows.begin; begin < rows.end; begin += strip) {
    const WinogradTiles tiles(kernel, reads, {begin, std::min(begin + strip, rows.end)}, height,
                              width);
    const std::size_t mark = scratch.mark();
    char* const memory = scratch.take_bytes(tiles.bytes());
    tiles.transform(memory);
    const WinogradFrame frame{tiles, memory, weights, target};
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      const std::size_t left = channels - panel * kernel.nr;
      convolve_winograd(&frame, 1, rectify, panel, std::min(left, kernel.nr), scratch);
    }
    scratch.rewind(mark);
  }
}

std::size_t winograd_scratch_bytes(const IgemmKernel& kernel, const WinogradInput& reads,
                                   std::size_t rows, std::size_t height, std::size_t width) {
  const std::size_t most = std::min(rows, winograd_strip(reads, width));
  const WinogradTiles tiles(kernel, reads, {0, most}, height, width);
  ArenaSize size;
  size.add_bytes(tiles.bytes());
  size.add_bytes(tiles.product_bytes());
  return size.bytes();
}

std::size_t winograd_strip(const WinogradInput& reads, std::size_t width) {
  const std::size_t row =
      ceil_div(width, kWinogradOutput) * kWinogradPoints * tile_pitch(reads.channels());
  return kWinogradOutput * std::max<std::size_t>(1, kTileBytes / row);
}

}  // namespace adafuse
