#include "src/sha256.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace adafuse {
namespace {

constexpr std::size_t kBlock = 64;  // bytes
constexpr std::size_t kRounds = 64;

using Words = std::array<std::uint32_t, 8>;

// The first 32 bits behind the point of a square or cube root, as the standard defines its
// constants; a double holds more bits than that.
std::uint32_t fraction(double root) {
  return static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0);
}

struct Constants {
  Words begin;
  std::array<std::uint32_t, kRounds> rounds;

  Constants() {
    std::size_t found = 0;
    for (int number = 2; found < kRounds; ++number) {
      bool prime = true;
      for (int divisor = 2; divisor * divisor <= number; ++divisor) {
        prime = prime && number % divisor != 0;
      }
      if (prime) {
        if (found < begin.size()) {
          begin[found] = fraction(std::sqrt(number));
        }
        rounds[found++] = fraction(std::cbrt(number));
      }
    }
  }
};

std::uint32_t rotate(std::uint32_t value, int by) {
  return value >> by | value << (32 - by);
}

void add_block(const std::uint8_t* bytes, const Constants& constants, Words& hash) {
  std::array<std::uint32_t, kRounds> w;
  for (std::size_t i = 0; i < 16; ++i) {
    w[i] = std::uint32_t{bytes[4 * i]} << 24 | std::uint32_t{bytes[4 * i + 1]} << 16 |
           std::uint32_t{bytes[4 * i + 2]} << 8 | bytes[4 * i + 3];
  }
  for (std::size_t i = 16; i < kRounds; ++i) {
    const std::uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::uint32_t first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                                ((e & f) ^ (~e & g)) + constants.rounds[i] + w[i];
    const std::uint32_t second =
        (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const Words sums{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < hash.size(); ++i) {
    hash[i] += sums[i];
  }
}

}  // namespace

std::string sha256(const std::string& path) {
  static const Constants constants;
  Words hash = constants.begin;
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
  std::uint64_t size = 0;
  std::size_t rest = 0;
  do {
    file.read(reinterpret_cast<char*>(buffer.data()), static_cast<std::streamsize>(buffer.size()));
    rest = static_cast<std::size_t>(file.gcount());
    size += rest;
    std::size_t done = 0;
    for (; done + kBlock <= rest; done += kBlock) {
      add_block(buffer.data() + done, constants, hash);
    }
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(done));
    rest -= done;
    if (file) {
      buffer.resize(std::size_t{1} << 20);
    }
  } while (file);
  if (!file.eof()) {
    throw std::runtime_error("cannot read " + path);
  }
  // The end: one bit, zeros, and the number of bits in eight bytes.
  buffer.resize(rest);
  buffer.push_back(0x80);
  while (buffer.size() % kBlock != kBlock - 8) {
    buffer.push_back(0);
  }
  for (int shift = 56; shift >= 0; shift -= 8) {
    buffer.push_back(static_cast<std::uint8_t>(size * 8 >> shift));
  }
  for (std::size_t done = 0; done < buffer.size(); done += kBlock) {
    add_block(buffer.data() + done, constants, hash);
  }
  std::string digits;
  for (const std::uint32_t word : hash) {
    for (int shift = 28; shift >= 0; shift -= 4) {
      digits += "0123456789abcdef"[word >> shift & 15];
    }
  }
  return digits;
}

}  // namespace adafuse
