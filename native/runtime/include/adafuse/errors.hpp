// Errors, in the classes and sentences of the Python package.
#pragma once

#include <stdexcept>
#include <string>

#include "adafuse/export.h"

namespace adafuse {

// Base class: the message is one sentence that names the cause and the way out.
class ADAFUSE_API Error : public std::runtime_error {
 public:
  // The exit code for a program that stops with this error.
  int exit_code() const { return exit_code_; }

 protected:
  Error(const std::string& message, int exit_code)
      : std::runtime_error(message), exit_code_(exit_code) {}

 private:
  int exit_code_;
};

// A file, an option or a tensor given by the user cannot be used.
class ADAFUSE_API InputError : public Error {
 public:
  explicit InputError(const std::string& message) : Error(message, 1) {}
};

// A network answered finite input with NaN or infinity.
class ADAFUSE_API NotFiniteError : public Error {
 public:
  explicit NotFiniteError(const std::string& message) : Error(message, 1) {}
};

// The operator library or ONNX Runtime is missing or cannot be loaded.
class ADAFUSE_API MissingDependencyError : public Error {
 public:
  explicit MissingDependencyError(const std::string& message) : Error(message, 3) {}
};

// A graph was made for other versions or other operators.
class ADAFUSE_API IncompatibleArtifactError : public Error {
 public:
  explicit IncompatibleArtifactError(const std::string& message) : Error(message, 4) {}
};

}  // namespace adafuse
