// The two functions that TensorRT looks for in a library of plugins.
#include "tensorrt/conv_creator.h"
#include "tensorrt/report.h"

#define ADAFUSE_EXPORT extern "C" __attribute__((visibility("default")))

ADAFUSE_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
  adafuse::plugin::use_logger(finder);
}

ADAFUSE_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
  using adafuse::plugin::ConvCreator;
  using adafuse::plugin::Operator;
  static ConvCreator gated(Operator::gated_conv), skip(Operator::skip_conv);
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&gated, &skip};
  count = 2;
  return creators;
}
