// Every variant of the indirect-GEMM micro-kernels against the plain sum, with every tile size.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "microkernels/igemm_nhwc/igemm.h"

using namespace adafuse;

namespace {

constexpr std::size_t kPixelBytes = 256;  // of A
constexpr std::size_t kRows = 40;         // of a panel of B
constexpr std::size_t kDepth = 53;        // K entries of a term
constexpr char kPoison = 0x7b;

std::mt19937 random_bits(20);

std::size_t below(std::size_t end) {
  return random_bits() % end;
}

float b_value(Precision precision, const char* values, std::size_t index) {
  return precision == Precision::kInt8 ? static_cast<float>(static_cast<signed char>(values[index]))
                                       : decode(precision, values, index);
}

void fill(Precision precision, bool weights, char* values, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / value_bytes(precision); ++i) {
    if (precision == Precision::kInt8) {
      values[i] = static_cast<char>(random_bits());
    } else {
      encode(precision, static_cast<float>(below(2001)) / 1000 - (weights ? 1.0f : 0.5f), values,
             i);
    }
  }
}

// Entries as convolutions make them: a run of whole K blocks, a short run, single ones.
std::vector<KEntry> random_entries(const IgemmKernel& kernel) {
  std::vector<KEntry> entries;
  const auto run = [&](std::size_t count) {
    const std::size_t a = below(kPixelBytes / kGroupBytes - count + 1);
    const std::size_t b = below(kRows - count + 1);
    for (std::size_t i = 0; i < count && entries.size() < kDepth; ++i) {
      entries.push_back(
          {k_offset((a + i) * kGroupBytes), k_offset((b + i) * kernel.b_row_bytes())});
    }
  };
  run(32);
  run(5);
  while (entries.size() < kDepth) {
    run(1);
  }
  entries.insert(entries.end(), kPrefetchEntries, entries.back());
  return entries;
}

void check_tile(const IgemmKernel& kernel, std::size_t pixels, std::size_t groups,
                std::size_t channels, bool with_residual) {
  const Precision precision = kernel.precision;
  const bool integers = precision == Precision::kInt8;
  const std::size_t k_values = kr(precision), terms = 2;
  const std::size_t pitch = kernel.nr * kGroupBytes + kLine;  // of C
  AlignedArray<char> a[2], b[2], c, residual;
  AlignedArray<float> bias, scale, rescale, totals;
  std::vector<KEntry> entries[2];
  GemmTerm gemm_terms[2] = {};
  const std::size_t a_bytes = groups * pixels * kPixelBytes;
  for (std::size_t t = 0; t < terms; ++t) {
    fill(precision, false, a[t].reserve(a_bytes), a_bytes);
    fill(precision, true, b[t].reserve(kRows * kernel.b_row_bytes()), kRows * kernel.b_row_bytes());
    entries[t] = random_entries(kernel);
    gemm_terms[t] = {{a[t].data(), a[t].data() + (groups - 1) * pixels * kPixelBytes},
                     kPixelBytes,
                     b[t].data(),
                     entries[t].data(),
                     kDepth};
  }
  for (AlignedArray<float>* constants : {&bias, &scale, &rescale, &totals}) {
    constants->reserve(kernel.nr);
    for (std::size_t i = 0; i < kernel.nr; ++i) {
      constants->data()[i] = static_cast<float>(below(1000)) / 1000;
    }
  }
  for (std::size_t i = 0; i < kernel.nr; ++i) {
    scale.data()[i] = integers ? 0.0005f : 1;
    totals.data()[i] = 0;
  }
  gemm_terms[1].rescale = integers ? rescale.data() : nullptr;
  const std::size_t c_bytes = (groups * pixels + 1) * pitch;
  std::memset(c.reserve(c_bytes), kPoison, c_bytes);
  fill(precision, false, residual.reserve(c_bytes), c_bytes);
  TileOutput output{};
  output.pixel_stride = output.residual_stride = static_cast<std::ptrdiff_t>(pitch);
  output.residual_scale = 0.25f;
  output.lowest = 0;
  output.totals = totals.data();
  for (std::size_t g = 0; g < kMaxGroups; ++g) {
    const std::size_t at = std::min(g, groups - 1) * pixels * pitch;
    output.groups[g] = c.data() + at;
    output.residual[g] = with_residual ? residual.data() + at : nullptr;
  }
  kernel.run({pixels, groups, channels}, gemm_terms, terms, {bias.data(), scale.data()}, output);
  kernel.release();

  std::vector<double> sums(channels);
  for (std::size_t p = 0; p < groups * pixels; ++p) {
    for (std::size_t n = 0; n < channels; ++n) {
      double acc = 0;
      for (std::size_t t = 0; t < terms; ++t) {
        if (integers && t == 1) {
          acc = std::nearbyint(static_cast<float>(acc) * rescale.data()[n]);
        }
        for (std::size_t k = 0; k < kDepth; ++k) {
          const char* const x = a[t].data() + p * kPixelBytes + entries[t][k].a;
          const char* const w = b[t].data() + entries[t][k].b + n * kGroupBytes;
          for (std::size_t i = 0; i < k_values; ++i) {
            acc += static_cast<double>(decode(precision, x, i)) * b_value(precision, w, i);
          }
        }
      }
      double expected = acc * scale.data()[n] + bias.data()[n];
      if (with_residual) {
        expected += 0.25 * decode(precision, residual.data() + p * pitch, n);
      }
      expected = std::max(0.0, integers ? std::min(255.0, expected) : expected);
      const double stored = decode(precision, c.data() + p * pitch, n);
      const double tolerance = precision == Precision::kFloat32 ? 2e-5
                               : integers                       ? 0.501
                                                                : 2e-4 + expected / 250;
      CHECK(std::abs(stored - expected) <= tolerance);
      sums[n] += precision == Precision::kBFloat16 ? expected : stored;  // before rounding
    }
  }
  for (std::size_t n = 0; n < channels; ++n) {
    CHECK(std::abs(totals.data()[n] - sums[n]) <= (integers ? 0 : 2e-3));
  }
  CHECK(std::all_of(c.data() + c_bytes - pitch, c.data() + c_bytes,
                    [](char byte) { return byte == kPoison; }));
}

void check_packing(const IgemmKernel& kernel) {
  const std::size_t depth = 2 * kLine / kGroupBytes;
  AlignedArray<std::uint32_t> rows, panel;
  const std::size_t outputs = kernel.nr + 3;
  rows.reserve((outputs + 1) * depth);
  for (std::size_t i = 0; i < (outputs + 1) * depth; ++i) {
    rows.data()[i] = i < depth ? 0 : static_cast<std::uint32_t>(random_bits());
  }
  panel.reserve(depth * kernel.nr);
  for (std::size_t count = 1; count <= kernel.nr; ++count) {
    std::vector<const std::uint32_t*> chosen(kernel.nr, rows.data());
    for (std::size_t i = 0; i < count; ++i) {
      chosen[i] = rows.data() + (1 + below(outputs)) * depth;
    }
    kernel.pack_chosen_n(chosen.data(), count, depth, panel.data());
    for (std::size_t k = 0; k < depth; ++k) {
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(panel.data()[k * kernel.nr + i] == chosen[i][k]);
      }
    }
  }
  // Rows of single channels merged into rows of K groups.
  const std::size_t k_values = kr(kernel.precision), value = value_bytes(kernel.precision);
  const char* const channels = reinterpret_cast<const char*>(rows.data());
  std::vector<std::uint32_t> offsets((depth + kPrefetchEntries) * k_values, 0);
  const std::size_t available = outputs * depth * kGroupBytes / kernel.b_channel_row_bytes();
  for (std::size_t i = 0; i < depth * k_values; ++i) {
    offsets[i] = static_cast<std::uint32_t>(below(available) * kernel.b_channel_row_bytes());
  }
  kernel.pack_chosen_k(channels, offsets.data(), depth, panel.data());
  for (std::size_t k = 0; k < depth; ++k) {
    for (std::size_t n = 0; n < kernel.nr; ++n) {
      for (std::size_t i = 0; i < k_values; ++i) {
        const char* const packed =
            reinterpret_cast<const char*>(panel.data() + k * kernel.nr + n) + i * value;
        CHECK(std::memcmp(packed, channels + offsets[k * k_values + i] + n * value, value) == 0);
      }
    }
  }
}

}  // namespace

TEST_CASE("indirect-GEMM micro-kernels on NHWC equal the definition") {
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    for (const IgemmKernel* kernel : igemm_kernels(precision)) {
      INFO(to_string(kernel->instruction_set), ", ", value_bytes(precision), " bytes a value");
      check_packing(*kernel);
      for (std::size_t pixels = 1; pixels <= kernel->mr_group; ++pixels) {
        for (std::size_t groups = 1; groups <= 2 && groups * pixels <= kernel->mr; ++groups) {
          for (const std::size_t channels :
               {std::size_t{1}, kernel->nr_step, kernel->nr - kernel->nr_step + 1, kernel->nr}) {
            check_tile(*kernel, pixels, groups, channels, false);
            check_tile(*kernel, pixels, groups, channels, true);
          }
        }
      }
    }
  }
}
