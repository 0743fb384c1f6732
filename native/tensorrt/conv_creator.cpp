#include "tensorrt/conv_creator.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "tensorrt/report.h"

namespace adafuse::plugin {
namespace {

using nvinfer1::PluginFieldType;

void read(const nvinfer1::PluginField& field, std::int32_t* to, std::int32_t length) {
  if (field.type != PluginFieldType::kINT32 || field.length != length || field.data == nullptr) {
    throw std::runtime_error("The attribute " + std::string(field.name) + " has to be " +
                             std::to_string(length) + " integers of 32 bits");
  }
  std::copy_n(static_cast<const std::int32_t*>(field.data), length, to);
}

}  // namespace

ConvCreator::ConvCreator(Operator kind)
    : kind_(kind),
      fields_{{{"strides", nullptr, PluginFieldType::kINT32, 2},
               {"pads", nullptr, PluginFieldType::kINT32, 4},
               {"packed", nullptr, PluginFieldType::kINT32, 1}}},
      collection_{static_cast<std::int32_t>(fields_.size()), fields_.data()} {}

nvinfer1::IPluginV3* ConvCreator::createPlugin(const char*,
                                               const nvinfer1::PluginFieldCollection* fields,
                                               nvinfer1::TensorRTPhase) noexcept {
  return guarded(static_cast<nvinfer1::IPluginV3*>(nullptr), [&]() -> nvinfer1::IPluginV3* {
    ConvAttributes attributes;
    for (std::int32_t i = 0; i < fields->nbFields; ++i) {
      const nvinfer1::PluginField& field = fields->fields[i];
      const std::string name = field.name;
      if (name == "strides") {
        read(field, attributes.strides.data(), 2);
      } else if (name == "pads") {
        read(field, attributes.pads.data(), 4);
      } else if (name == "packed") {
        read(field, &attributes.packed, 1);
      }
    }
    if (attributes.strides[0] < 1 || attributes.strides[1] < 1 ||
        *std::min_element(attributes.pads.begin(), attributes.pads.end()) < 0) {
      throw std::runtime_error("Strides have to be positive, and pads not negative");
    }
    return new ConvPlugin(kind_, attributes);
  });
}

}  // namespace adafuse::plugin
