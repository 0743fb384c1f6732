// The bytes of a fuzz target as a file, for subjects that read files.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace adafuse::fuzz {

// A file in memory, of which the process that made it knows the path; one for the whole run.
class InputFile {
 public:
  explicit InputFile(const char* name) : descriptor_(memfd_create(name, 0)) {
    if (descriptor_ < 0) {
      throw std::runtime_error("no file in memory can be made");
    }
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { close(descriptor_); }

  // Replaces the content and returns the path.
  std::string write(const std::uint8_t* data, std::size_t size) {
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, data, size, 0) != static_cast<ssize_t>(size)) {
      throw std::runtime_error("the file in memory cannot be written");
    }
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }

 private:
  int descriptor_;
};

}  // namespace adafuse::fuzz
