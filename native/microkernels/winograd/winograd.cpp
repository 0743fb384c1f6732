#include "microkernels/winograd/winograd.h"

#include <algorithm>
#include <limits>

namespace adafuse {
namespace {

// Half of a usual second-level cache, in bytes.
constexpr std::size_t kPatchBytes = 512 * 1024;

// Bytes between positions: whole cache lines, and an odd number of them, so that the positions of a
// patch do not share cache sets.
std::size_t odd_lines(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, kLine);
  return whole / kLine % 2 == 0 ? whole + kLine : whole;
}

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

// A vector may be written behind the last channel.
std::size_t patch_pitch(std::size_t channels) {
  return channel_pitch(channels + kLine / sizeof(float) - 1, Precision::kFloat32);
}

// The values of three weights at the points, each divided by the product of the differences
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
    : weights_(conv.outputs * conv.inputs * kPositions), conv_(conv) {
  const float* from = conv.weight;
  float* to = weights_.data();
  for (std::size_t i = 0; i < conv.outputs * conv.inputs; ++i) {
    float columns[kPatchSize * 3];
    for (std::size_t x = 0; x < 3; ++x) {
      weights_to_points(from + x, 3, columns + x, 3);
    }
    for (std::size_t y = 0; y < kPatchSize; ++y) {
      weights_to_points(columns + y * 3, 1, to + y * kPatchSize, 1);
    }
    from += 9;
    to += kPositions;
  }
  conv_.weight = weights_.data();
  conv_.taps = kPositions;
}

void PatchReads::clear() {
  channels_ = 0;
  runs_.clear();
  terms_.clear();
  steps_.clear();
}

void PatchReads::add_run(const char* frame, const InputShape& input, const ChannelRun& run) {
  if (run.begin < run.end) {
    runs_.push_back({frame + run.begin * sizeof(float), input.layout, run.end - run.begin});
    channels_ += run.end - run.begin;
  }
}

void PatchReads::begin_term(std::size_t channels, const TileKernel& kernel) const {
  step_offset((channels_ + channels) * sizeof(float));
  step_offset(channels * kernel.weight_row());
}

void PatchReads::end_term(std::size_t first_step, std::size_t weight_rows) {
  terms_.push_back({first_step, steps_.size() - first_step, weight_rows});
  // Only prefetched.
  steps_.insert(steps_.end(), kStepsAhead, steps_.empty() ? Step{0, 0} : steps_.back());
}

void PatchReads::add(const char* frame, const InputShape& input, const TemporalShift& shift,
                     Neighbours neighbours, const TileKernel& kernel) {
  const std::size_t pitch = input.layout.frame_pitch(), first_step = steps_.size();
  const std::array<ChannelRun, 3> runs = shift.runs(input.channels);
  const std::array<bool, 3> present{neighbours.next, neighbours.previous, true};
  const std::array<const char*, 3> frames{frame + pitch, frame - pitch, frame};
  std::size_t weight = 0;
  begin_term(input.channels, kernel);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::size_t count = runs[i].end - runs[i].begin;
    for (std::size_t channel = 0; present[i] && channel < count; ++channel) {
      steps_.push_back({static_cast<std::int32_t>((channels_ + channel) * sizeof(float)),
                        static_cast<std::int32_t>((weight + channel) * kernel.weight_row())});
    }
    if (present[i]) {
      add_run(frames[i], input, runs[i]);
    }
    weight += count;
  }
  end_term(first_step, input.channels);
}

void PatchReads::add(const char* frame, const InputShape& input, const CompactChannels& own,
                     const CompactChannels* previous, std::ptrdiff_t distance,
                     const TileKernel& kernel) {
  const std::size_t first_step = steps_.size();
  begin_term(2 * input.channels, kernel);  // of two frames at most
  const auto append = [&](const char* from, const CompactChannels& stored, ChannelRun run) {
    for (std::size_t place = run.begin; place < run.end; ++place) {
      steps_.push_back({static_cast<std::int32_t>((channels_ + place - run.begin) * sizeof(float)),
                        static_cast<std::int32_t>(stored[place] * kernel.weight_row())});
    }
    add_run(from, input, run);
  };
  append(frame, own, {0, own.kept()});
  if (previous != nullptr) {
    append(frame + distance, *previous, {previous->lent_begin(), previous->size()});
  }
  end_term(first_step, input.channels);
}

Patches::Patches(const TileKernel& kernel, const PatchReads& reads, RowRange rows,
                 std::size_t height, std::size_t width)
    : kernel_(kernel),
      transforms_(winograd_kernel(kernel.instruction_set)),
      reads_(reads),
      rows_(rows),
      height_(height),
      width_(width),
      columns_(ceil_div(width, kPatchStep)),
      count_(ceil_div(rows.end - rows.begin, kPatchStep) * columns_),
      pitch_(patch_pitch(reads.channels())),
      position_pitch_(odd_lines(count_ * pitch_)),
      product_pitch_(odd_lines(count_ * kernel.weight_row())) {}

// Calls body with a patch's number and the output pixel it begins with.
template <typename Body>
void Patches::for_each_patch(Body body) const {
  std::size_t number = 0;
  for (std::size_t y = rows_.begin; y < rows_.end; y += kPatchStep) {
    for (std::size_t x = 0; x < width_; x += kPatchStep) {
      body(number++, y, x);
    }
  }
}

void Patches::transform(char* memory) const {
  for_each_patch([&](std::size_t number, std::size_t y, std::size_t x) {
    char* to = memory + number * pitch_;
    for (const PatchReads::Run& run : reads_.runs_) {
      const FrameLayout& layout = run.layout;
      transforms_.transform_input(
          {run.first + layout.offset(static_cast<std::ptrdiff_t>(y) - 1,
                                     static_cast<std::ptrdiff_t>(x) - 1),
           static_cast<std::ptrdiff_t>(layout.row_pitch()),
           static_cast<std::ptrdiff_t>(layout.pitch), height_ + 2 - y, width_ + 2 - x},
          run.channels, to, static_cast<std::ptrdiff_t>(position_pitch_));
      to += run.channels * sizeof(float);
    }
  });
}

void Patches::multiply(const char* memory, const Panels* weights, std::size_t panel,
                       std::size_t channels, std::size_t position, char* products) const {
  alignas(kLine) static constexpr float kNoBias[256] = {};
  const std::size_t row = kernel_.weight_row();
  Segment segments[kMaxSources];
  const char* next[kMaxSources];  // weights, of the next position or the next panel
  const std::size_t terms = reads_.terms_.size();
  for (std::size_t i = 0; i < terms; ++i) {
    const PatchReads::Term& term = reads_.terms_[i];
    const std::size_t bytes = term.weight_rows * row;
    segments[i] = {{},
                   static_cast<std::ptrdiff_t>(pitch_),
                   weights[i][panel] + position * bytes,
                   reads_.steps_.data() + term.first_step,
                   term.depth};
    segments[i].prefetches_rows = true;
    next[i] = position + 1 < kPositions ? segments[i].weights + bytes : weights[i].after(panel);
  }
  TileOutput output{};
  output.pixel_stride = static_cast<std::ptrdiff_t>(row);
  output.lowest = -std::numeric_limits<float>::infinity();
  const char* const inputs = memory + position * position_pitch_;
  char* const outputs = products + position * product_pitch_;
  // As many patches at a time as registers allow, or nearly, in equal parts.
  const std::size_t parts = ceil_div(count_, kernel_.max_pixels);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = count_ * part / parts, end = count_ * (part + 1) / parts;
    const std::size_t groups = end - begin > kernel_.max_group ? 2 : 1;
    for (std::size_t i = 0; i < terms; ++i) {
      segments[i].prefetch = kernel_.line_of(next[i], part, parts);
    }
    std::size_t at = begin;
    // An odd number is two groups of equal length and one more patch.
    while (at < end) {
      const std::size_t left = end - at;
      const std::size_t taken = groups == 2 && left > 1 ? left / 2 : left;
      const std::size_t used = groups == 2 && left > 1 ? 2 : 1;
      for (std::size_t g = 0; g < kMaxGroups; ++g) {
        const std::size_t first = at + (g < used ? g * taken : 0);
        for (std::size_t i = 0; i < terms; ++i) {
          segments[i].groups[g] = inputs + first * pitch_;
        }
        output.groups[g] = outputs + first * row;
      }
      kernel_.run({taken, used, channels}, segments, terms, {kNoBias, kNoBias}, output);
      at += taken * used;
    }
  }
}

void Patches::finish(const char* products, const ConvTarget& target, bool rectify,
                     std::size_t panel, std::size_t channels) const {
  const std::size_t first_channel = panel * kernel_.panel_width();
  const FrameLayout& layout = target.layout;
  for_each_patch([&](std::size_t number, std::size_t y, std::size_t x) {
    const std::size_t place = layout.offset(static_cast<std::ptrdiff_t>(y - target.first_row),
                                            static_cast<std::ptrdiff_t>(x)) +
                              first_channel * sizeof(float);
    transforms_.transform_output(
        products + number * kernel_.weight_row(), static_cast<std::ptrdiff_t>(product_pitch_),
        channels,
        {target.frame + place, static_cast<std::ptrdiff_t>(layout.row_pitch()),
         static_cast<std::ptrdiff_t>(layout.pitch), rows_.end - y, width_ - x,
         target.channels.bias + first_channel,
         target.residual == nullptr ? nullptr : target.residual + place,
         rectify ? 0.0f : -std::numeric_limits<float>::infinity(),
         target.sums == nullptr ? nullptr : target.sums + first_channel});
  });
}

void PatchedFrames::resize(std::size_t rows) {
  rows_ = rows;
  reads_.resize(std::max(reads_.size(), rows));
}

void PatchedFrames::transform(const TileKernel& kernel, std::size_t height, std::size_t width,
                              const ParallelFor& parallel_for) {
  patches_.clear();
  begins_.clear();
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < rows_; ++row) {
    patches_.emplace_back(kernel, reads_[row], RowRange{0, height}, height, width);
    begins_.push_back(bytes);
    bytes += patches_.back().bytes();
  }
  char* const memory = memory_.reserve(bytes);
  parallel_for(rows_, [&](std::size_t row) { patches_[row].transform(memory + begins_[row]); });
}

void convolve_patches(const PatchFrame* frames, std::size_t count, bool rectify, std::size_t panel,
                      std::size_t channels, PatchScratch& scratch) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) {
    bytes += frames[i].patches.product_bytes();
  }
  char* const products = scratch.products.reserve(bytes);
  // Frames innermost: a position's weights stay in cache.
  for (std::size_t position = 0; position < kPositions; ++position) {
    char* at = products;
    for (std::size_t i = 0; i < count; ++i) {
      const PatchFrame& frame = frames[i];
      frame.patches.multiply(frame.memory, frame.weights, panel, channels, position, at);
      at += frame.patches.product_bytes();
    }
  }
  const char* at = products;
  for (std::size_t i = 0; i < count; ++i) {
    frames[i].patches.finish(at, frames[i].target, rectify, panel, channels);
    at += frames[i].patches.product_bytes();
  }
}

void convolve_patches(const TileKernel& kernel, const PatchReads& reads, const Panels* weights,
                      const ConvTarget& target, bool rectify, RowRange rows, std::size_t height,
                      std::size_t width, std::size_t channels, std::size_t panel_begin,
                      std::size_t panel_end, PatchScratch& scratch) {
  const std::size_t strip = patch_strip(reads, width);
  for (std::size_t begin = rows.begin; begin < rows.end; begin += strip) {
    const Patches patches(kernel, reads, {begin, std::min(begin + strip, rows.end)}, height, width);
    char* const memory = scratch.patches.reserve(patches.bytes());
    patches.transform(memory);
    const PatchFrame frame{patches, memory, weights, target};
    for (std::size_t panel = panel_begin; panel < panel_end; ++panel) {
      const std::size_t left = channels - panel * kernel.panel_width();
      convolve_patches(&frame, 1, rectify, panel, std::min(left, kernel.panel_width()), scratch);
    }
  }
}

std::size_t patch_strip(const PatchReads& reads, std::size_t width) {
  const std::size_t row = ceil_div(width, kPatchStep) * kPositions * patch_pitch(reads.channels());
  return kPatchStep * std::max<std::size_t>(1, kPatchBytes / row);
}

}  // namespace adafuse
