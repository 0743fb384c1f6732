#include "src/onnx_properties.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "adafuse/errors.hpp"
#include "src/json.h"

namespace adafuse {
namespace {

// The part of protobuf's encoding that leads to a string in a message: a field is a tag (number and
// kind) and, for the kind of strings and messages, a length and that many bytes.
constexpr std::uint64_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;
constexpr std::uint64_t kMetadataProps = 14;  // of ModelProto
constexpr std::uint64_t kKey = 1;             // of StringStringEntryProto, whose other is the value

class Fields {
 public:
  Fields(std::istream& stream, std::uint64_t bytes) : stream_(stream), left_(bytes) {}

  // Goes to the next field, past the content of the last one if it was not read.
  bool next() {
    stream_.seekg(static_cast<std::streamoff>(size), std::ios::cur);
    size = 0;
    if (left_ == 0) {
      return false;
    }
    const std::uint64_t tag = varint();
    number = tag >> 3;
    switch (tag & 7) {
      case kVarint:
        varint();
        return true;
      case kFixed64:
        size = 8;
        break;
      case kBytes:
        size = varint();
        break;
      case kFixed32:
        size = 4;
        break;
      default:
        throw std::runtime_error("unknown encoding");
    }
    if (size > left_) {
      throw std::runtime_error("unexpected end");
    }
    left_ -= size;
    return true;
  }

  std::string read() {
    std::string bytes(size, '\0');
    stream_.read(bytes.data(), static_cast<std::streamsize>(size));
    size = 0;
    return bytes;
  }

  std::uint64_t number = 0;
  std::uint64_t size = 0;  // of the content that is still to be read or skipped

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const int byte = left_ == 0 ? EOF : stream_.get();
      if (byte == EOF) {
        throw std::runtime_error("unexpected end");
      }
      --left_;
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw std::runtime_error("unknown encoding");
  }

  std::istream& stream_;
  std::uint64_t left_;
};

}  // namespace

std::map<std::string, std::string> read_onnx_properties(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw InputError("There is no graph " + path + "; make it with 'adafuse-deploy export'.");
  }
  std::map<std::string, std::string> properties;
  try {
    std::ifstream file(path, std::ios::binary);
    Fields model(file, std::filesystem::file_size(path));
    while (model.next()) {
      if (model.number != kMetadataProps) {
        continue;
      }
      Fields entry(file, model.size);
      model.size = 0;
      std::string key, value;
      while (entry.next()) {
        (entry.number == kKey ? key : value) = entry.read();
      }
      if (!is_utf8(key) || !is_utf8(value)) {
        throw std::runtime_error("a property is not UTF-8");
      }
      properties[key] = value;
    }
    if (!file) {
      throw std::runtime_error("it cannot be read");
    }
  } catch (const std::exception& error) {
    throw InputError(path + " is not a readable ONNX file (" + error.what() +
                     "); it is truncated or damaged: export it or copy it again.");
  }
  return properties;
}

}  // namespace adafuse
