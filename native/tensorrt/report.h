// Error messages: TensorRT's interface has only status codes, so sentences go to its logger.
#pragma once

#include <NvInferRuntime.h>

#include <exception>
#include <string>

namespace adafuse::plugin {

// Sets the finder of the logger, as TensorRT gives it to setLoggerFinder; it must last.  Without
// one messages go to stderr.
void use_logger(nvinfer1::ILoggerFinder* finder);

void report(const std::string& message) noexcept;

// Runs a function; an exception becomes a report and `failed`.
template <typename Function, typename Result>
Result guarded(Result failed, Function&& function) noexcept {
  try {
    return function();
  } catch (const std::exception& error) {
    report(error.what());
    return failed;
  }
}

}  // namespace adafuse::plugin
