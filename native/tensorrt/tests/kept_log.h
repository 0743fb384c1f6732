// A logger of TensorRT that keeps its messages.
#pragma once

#include <NvInferRuntime.h>

#include <string>

namespace adafuse::plugin {

class KeptLog : public nvinfer1::ILogger, public nvinfer1::ILoggerFinder {
 public:
  void log(Severity, const char* message) noexcept override { words += message; }
  ILogger* findLogger() noexcept override { return this; }

  std::string words;  // all messages, one after another
};

}  // namespace adafuse::plugin
