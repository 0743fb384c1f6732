// A variant of the Winograd transforms: compiled once per row of variants.cmake, see
// microkernels/variants.cmake.
//
// Nothing of the C++ library may be used here, see igemm_simd.h.
#include "microkernels/winograd/transforms.h"

namespace adafuse::VARIANT {
namespace {

constexpr int kLanes = VARIANT_LANES;
constexpr int kSize = VARIANT_TILE;
constexpr int kStep = VARIANT_OUTPUT;
static_assert(kSize == kWinogradTile && kStep == kWinogradOutput);

using Vector
    [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias, gnu::aligned(sizeof(float))]] =
        float;

constexpr float kNear = 0.70710678118654752f;  // the points; their squares are 1/2 and 2
constexpr float kFar = 1.4142135623730950f;
constexpr float kNearCubed = 0.35355339059327376f;
constexpr float kFarCubed = 2.8284271247461901f;

inline Vector load(const char* from) {
  return *reinterpret_cast<const Vector*>(from);
}
inline Vector load_some(const char* from, std::size_t channels) {
  Vector v{};
  __builtin_memcpy(&v, from, channels * sizeof(float));
  return v;
}
inline void store(char* to, Vector v) {
  *reinterpret_cast<Vector*>(to) = v;
}

// Transforms six pixels of a line to values at the points.
inline void to_points(const Vector* d, Vector* at) {
  const Vector near_even = d[4] - 2.0f * d[2];
  const Vector near_odd = d[3] - 2.0f * d[1];
  const Vector far_even = d[4] - 0.5f * d[2];
  const Vector far_odd = d[3] - 0.5f * d[1];
  at[0] = d[0] - 2.5f * d[2] + d[4];
  at[1] = near_even + kNear * near_odd;
  at[2] = near_even - kNear * near_odd;
  at[3] = far_even + kFar * far_odd;
  at[4] = far_even - kFar * far_odd;
  at[5] = d[1] - 2.5f * d[3] + d[5];
}

// Transforms values at the points to four pixels of a line.
inline void from_points(const Vector* at, Vector* y) {
  const Vector near_even = at[1] + at[2], near_odd = at[1] - at[2];
  const Vector far_even = at[3] + at[4], far_odd = at[3] - at[4];
  y[0] = at[0] + near_even + far_even;
  y[1] = kNear * near_odd + kFar * far_odd;
  y[2] = 0.5f * near_even + 2.0f * far_even;
  y[3] = kNearCubed * near_odd + kFarCubed * far_odd + at[5];
}

// Transforms a vector of channels; load_at(row, column) reads a pixel of the tile.
template <typename Load>
inline void transform_vector(const Load& load_at, char* points, std::ptrdiff_t point_pitch) {
  Vector values[kSize * kSize];
#pragma GCC unroll 6
  for (int column = 0; column < kSize; ++column) {
    Vector line[kSize], at[kSize];
#pragma GCC unroll 6
    for (int row = 0; row < kSize; ++row) {
      line[row] = load_at(row, column);
    }
    to_points(line, at);
#pragma GCC unroll 6
    for (int row = 0; row < kSize; ++row) {
      values[row * kSize + column] = at[row];
    }
  }
#pragma GCC unroll 6
  for (int row = 0; row < kSize; ++row) {
    Vector at[kSize];
    to_points(values + row * kSize, at);
#pragma GCC unroll 6
    for (int column = 0; column < kSize; ++column) {
      store(points + (row * kSize + column) * point_pitch, at[column]);
    }
  }
}

void transform_input(const WinogradInputTile& tile, std::size_t channels, char* points,
                     std::ptrdiff_t point_pitch) {
  const bool whole = tile.rows >= kWinogradTile && tile.columns >= kWinogradTile;
  const auto exists = [&](int row, int column) {
    return static_cast<std::size_t>(row) < tile.rows &&
           static_cast<std::size_t>(column) < tile.columns;
  };
  std::size_t channel = 0;
  do {
    // The last vector overlaps the one before where the channels do not come out even.
    if (channels >= kLanes && channel + kLanes > channels) {
      channel = channels - kLanes;
    }
    const char* const corner = tile.corner + channel * sizeof(float);
    const auto pixel = [&](int row, int column) {
      return corner + row * tile.row_pitch + column * tile.pixel_pitch;
    };
    char* const to = points + channel * sizeof(float);
    if (channels < kLanes) {
      transform_vector(
          [&](int row, int column) {
            return exists(row, column) ? load_some(pixel(row, column), channels) : Vector{};
          },
          to, point_pitch);
    } else if (!whole) {
      transform_vector(
          [&](int row, int column) {
            return exists(row, column) ? load(pixel(row, column)) : Vector{};
          },
          to, point_pitch);
    } else {
      transform_vector([&](int row, int column) { return load(pixel(row, column)); }, to,
                       point_pitch);
    }
    channel += kLanes;
  } while (channel < channels);
}

void transform_output(const char* points, std::ptrdiff_t point_pitch, std::size_t channels,
                      const WinogradOutputTile& output) {
  const Vector lowest = Vector{} + output.lowest;
  for (std::size_t channel = 0; channel < channels; channel += kLanes) {
    const std::size_t offset = channel * sizeof(float);
    const Vector bias = load(reinterpret_cast<const char*>(output.bias) + offset);
    Vector lines[kSize][kStep];  // column by column
#pragma GCC unroll 6
    for (int column = 0; column < kSize; ++column) {
      Vector at[kSize];
#pragma GCC unroll 6
      for (int row = 0; row < kSize; ++row) {
        at[row] = load(points + (row * kSize + column) * point_pitch + offset);
      }
      from_points(at, lines[column]);
    }
    Vector total{};
#pragma GCC unroll 4
    for (int row = 0; row < kStep; ++row) {
      if (static_cast<std::size_t>(row) >= output.rows) {
        break;
      }
      Vector at[kSize], pixels[kStep];
#pragma GCC unroll 6
      for (int column = 0; column < kSize; ++column) {
        at[column] = lines[column][row];
      }
      from_points(at, pixels);
#pragma GCC unroll 4
      for (int column = 0; column < kStep; ++column) {
        if (static_cast<std::size_t>(column) >= output.columns) {
          break;
        }
        const std::ptrdiff_t place = row * output.row_pitch + column * output.pixel_pitch +
                                     static_cast<std::ptrdiff_t>(offset);
        Vector value = pixels[column] + bias;
        if (output.residual != nullptr) {
          value += load(output.residual + place);
        }
        value = value < lowest ? lowest : value;  // NaN stays NaN
        store(output.corner + place, value);
        total += value;
      }
    }
    if (output.totals != nullptr) {
      char* const totals = reinterpret_cast<char*>(output.totals) + offset;
      store(totals, load(totals) + total);
    }
  }
}

}  // namespace

extern const WinogradKernel kernel;
const WinogradKernel kernel{InstructionSet::VARIANT_INSTRUCTION_SET, transform_input,
                            transform_output};

}  // namespace adafuse::VARIANT
