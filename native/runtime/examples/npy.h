// NumPy's .npy files of float32 and uint8 on little-endian machines.
#pragma once

#include <adafuse/errors.hpp>
#include <adafuse/tensor.hpp>
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace npy {

template <class T>
constexpr const char* kType = nullptr;
template <>
inline constexpr const char* kType<float> = "<f4";
template <>
inline constexpr const char* kType<std::uint8_t> = "|u1";

// Throws adafuse::InputError unless the file holds T in C order.
template <class T>
adafuse::Tensor<T> read(const std::string& path) {
  const auto wrong = [&](const std::string& what) {
    return adafuse::InputError(path + " " + what + "; write it with numpy.save as " + kType<T> +
                               " in C order.");
  };
  std::ifstream file(path, std::ios::binary);
  std::string magic(8, '\0');
  file.read(magic.data(), 8);
  if (!file || magic.compare(0, 6, "\x93NUMPY") != 0) {
    throw wrong("is no .npy file");
  }
  // The header's length has two bytes in version 1, four later.
  std::uint32_t length = 0;
  for (int i = 0; i < (magic[6] == 1 ? 2 : 4); ++i) {
    length |= static_cast<std::uint32_t>(file.get() & 0xFF) << (8 * i);
  }
  std::string header(std::min(length, 65536u), '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  const std::size_t open = header.find('(');  // of the shape
  if (open == header.npos || header.find(std::string("'") + kType<T> + "'") == header.npos ||
      header.find("'fortran_order': False") == header.npos) {
    throw wrong("has another type or order");
  }
  adafuse::Shape shape;
  for (const char* at = header.c_str() + open + 1; *at != ')' && *at != '\0';) {
    char* end = nullptr;
    shape.push_back(std::strtoll(at, &end, 10));
    if (end == at || shape.back() < 0) {
      throw wrong("has a damaged header");
    }
    for (at = end; *at == ',' || *at == ' ';) {
      ++at;
    }
  }
  const auto start = file.tellg();
  file.seekg(0, std::ios::end);
  if (file.tellg() - start !=
      static_cast<std::streamoff>(adafuse::element_count(shape) * sizeof(T))) {
    throw wrong("is truncated");
  }
  file.seekg(start);
  adafuse::Tensor<T> result(shape);
  file.read(reinterpret_cast<char*>(result.values.data()),
            static_cast<std::streamsize>(result.values.size() * sizeof(T)));
  return result;
}

template <class T>
void write(const std::string& path, const adafuse::Tensor<T>& tensor) {
  std::string header = std::string("{'descr': '") + kType<T> + "', 'fortran_order': False, ";
  header += "'shape': (";
  for (const std::int64_t side : tensor.shape) {
    header += std::to_string(side) + ",";
  }
  header += ")}";
  header.resize((header.size() + 10) / 64 * 64 + 64 - 10 - 1, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() & 0xFF)).put(static_cast<char>(header.size() >> 8));
  file << header;
  file.write(reinterpret_cast<const char*>(tensor.values.data()),
             static_cast<std::streamsize>(tensor.values.size() * sizeof(T)));
  if (!file.flush()) {
    throw adafuse::InputError(path + " cannot be written; check the folder and the disk.");
  }
}

}  // namespace npy
