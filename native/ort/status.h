// Exceptions must not cross the C interface: they become an OrtStatus.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "ort/api.h"

namespace adafuse {

// Runs `body`; what it throws comes back as a status whose message begins with `who`.
template <typename Body>
OrtStatusPtr as_status(const std::string& who, Body&& body) noexcept {
  const auto status = [&who](const char* message, OrtErrorCode code) {
    return Ort::GetApi().CreateStatus(code, (who + ": " + message).c_str());
  };
  try {
    body();
    return nullptr;
  } catch (const Ort::Exception& error) {
    return status(error.what(), error.GetOrtErrorCode());
  } catch (const std::invalid_argument& error) {
    return status(error.what(), ORT_INVALID_ARGUMENT);
  } catch (const std::exception& error) {
    return status(error.what(), ORT_FAIL);
  }
}

}  // namespace adafuse
