#include "tensorrt/report.h"

#include <atomic>
#include <cstdio>

namespace adafuse::plugin {
namespace {

std::atomic<nvinfer1::ILoggerFinder*> logger_finder{nullptr};

}  // namespace

void use_logger(nvinfer1::ILoggerFinder* finder) {
  logger_finder = finder;
}

void report(const std::string& message) noexcept {
  nvinfer1::ILoggerFinder* const finder = logger_finder;
  nvinfer1::ILogger* const logger = finder == nullptr ? nullptr : finder->findLogger();
  if (logger == nullptr) {
    std::fprintf(stderr, "adafuse: %s\n", message.c_str());
  } else {
    logger->log(nvinfer1::ILogger::Severity::kERROR, ("adafuse: " + message).c_str());
  }
}

}  // namespace adafuse::plugin
