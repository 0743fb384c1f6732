// The two functions that TensorRT looks for in a library of plugins.
#include "tensorrt/block_creator.h"
#include "tensorrt/report.h"

#define ADAFUSE_EXPORT extern "C" __attribute__((visibility("default")))

ADAFUSE_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  adafuse::plugin::use_logger(finder);
}

ADAFUSE_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  static adafuse::plugin::BlockCreator block;
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&block};
  count = 1;
  return creators;
}
