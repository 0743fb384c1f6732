#include "tensorrt/conv_creator.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "tensorrt/report.h"

namespace adafuse::plugin {
namespace {

using nvinfer1::PluginFieldType;

constexpr std::int32_t kMostStride = 0x7fffffff;
constexpr std::int32_t kMostPad = 1024;  // as in the operator library

void read(const nvinfer1::PluginField& field, std::int32_t* to, std::int32_t length,
          std::int32_t least, std::int32_t most) {
  const std::string attribute = "The attribute " + std::string(field.name) + " ";
  if (field.type != PluginFieldType::kINT32 || field.length != length || field.data == nullptr) {
    throw std::runtime_error(attribute + "has to be " + std::to_string(length) +
                             " integers of 32 bits");
  }
  std::copy_n(static_cast<const std::int32_t*>(field.data), length, to);
  for (std::int32_t i = 0; i < length; ++i) {
    if (to[i] < least || to[i] > most) {
      throw std::runtime_error(attribute + "holds " + std::to_string(to[i]) +
                               " but has to be from " + std::to_string(least) + " to " +
                               std::to_string(most));
    }
  }
}

// Throws std::runtime_error where a field is missing, of another type or out of bounds.
ConvAttributes read_all(const nvinfer1::PluginFieldCollection* fields) {
  if (fields == nullptr || fields->nbFields < 0 ||
      (fields->nbFields > 0 && fields->fields == nullptr)) {
    throw std::runtime_error("There are no attributes");
  }
  ConvAttributes attributes;
  bool strides = false, pads = false;
  for (std::int32_t i = 0; i < fields->nbFields; ++i) {
    const nvinfer1::PluginField& field = fields->fields[i];
    const std::string name = field.name == nullptr ? "" : field.name;
    if (name == "strides") {
      read(field, attributes.strides.data(), 2, 1, kMostStride);
      strides = true;
    } else if (name == "pads") {
      read(field, attributes.pads.data(), 4, 0, kMostPad);
      pads = true;
    } else if (name == "packed") {
      read(field, &attributes.packed, 1, 0, 1);
    }
  }
  if (!strides || !pads) {
    throw std::runtime_error("The attribute " + std::string(strides ? "pads" : "strides") +
                             " is missing");
  }
  return attributes;
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
    try {
      return new ConvPlugin(kind_, read_all(fields));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(std::string(name_of(kind_)) + ": " + error.what());
    }
  });
}

}  // namespace adafuse::plugin
