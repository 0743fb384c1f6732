// The data types of frames and weights, and their values in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace adafuse {

// kInt8: unsigned activations and signed weights, each with a scale.
enum class Precision { kFloat32, kBFloat16, kInt8 };

// Names in attributes and messages: "fp32", "bf16", "int8".
constexpr const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return "fp32";
    case Precision::kBFloat16:
      return "bf16";
    default:
      return "int8";
  }
}

// Bytes of a K group: neighbouring channels that kernels read at once.
constexpr std::size_t kGroupBytes = 4;
// Bytes of a cache line, which is also the widest vector.
constexpr std::size_t kLine = 64;

// The upper half of a float.
struct BFloat16 {
  std::uint16_t bits;
};

// Bytes of a stored value.
constexpr std::size_t value_bytes(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return 4;
    case Precision::kBFloat16:
      return 2;
    default:
      return 1;
  }
}
// KR: channels of a K group.
constexpr std::size_t kr(Precision precision) {
  return kGroupBytes / value_bytes(precision);
}

// The bits of the nearest bfloat16, ties to even; NaN stays NaN.
inline std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (value != value) {
    return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  }
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// The nearest integer of [least, most], ties to even; without a library call, so that compilers
// make vectors of loops.
inline std::int32_t to_integer(float value, float least, float most) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: float32 has no fractions there
  const float bounded = value < least ? least : value > most ? most : value;
  return static_cast<std::int32_t>((bounded + kMagic) - kMagic);
}

// Writes an activation, in kInt8 0 ... 255, to place `index` of an array of stored values.
inline void encode(Precision precision, float value, char* values, std::size_t index) {
  if (precision == Precision::kFloat32) {
    std::memcpy(values + index * sizeof(float), &value, sizeof(float));
  } else if (precision == Precision::kBFloat16) {
    const std::uint16_t half = to_bfloat16(value);
    std::memcpy(values + index * sizeof(half), &half, sizeof(half));
  } else {
    values[index] = static_cast<char>(to_integer(value, 0, 255));
  }
}

// Writes a weight, in kInt8 -128 ... 127, to place `index` of an array of stored values.
inline void encode_weight(Precision precision, float value, char* values, std::size_t index) {
  if (precision == Precision::kInt8) {
    values[index] = static_cast<char>(to_integer(value, -128, 127));
  } else {
    encode(precision, value, values, index);
  }
}

// The activation at place `index` of an array of stored values.
inline float decode(Precision precision, const char* values, std::size_t index) {
  float value;
  if (precision == Precision::kFloat32) {
    std::memcpy(&value, values + index * sizeof(float), sizeof(float));
  } else if (precision == Precision::kBFloat16) {
    std::uint16_t half;
    std::memcpy(&half, values + index * sizeof(half), sizeof(half));
    const std::uint32_t bits = std::uint32_t{half} << 16;
    std::memcpy(&value, &bits, sizeof(value));
  } else {
    value = static_cast<unsigned char>(values[index]);
  }
  return value;
}

}  // namespace adafuse
