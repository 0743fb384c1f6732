#include "tensorrt/block_fields.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace adafuse::plugin {
namespace {

using nvinfer1::PluginFieldType;

const nvinfer1::PluginField& find(const nvinfer1::PluginFieldCollection& fields, const char* name) {
  for (std::int32_t i = 0; i < fields.nbFields; ++i) {
    const nvinfer1::PluginField& field = fields.fields[i];
    if (field.name != nullptr && std::string(field.name) == name) {
      return field;
    }
  }
  throw std::runtime_error("The attribute " + std::string(name) + " is missing");
}

void read(const nvinfer1::PluginFieldCollection& fields, const Field& wanted, std::int32_t* to) {
  const nvinfer1::PluginField& field = find(fields, wanted.name);
  const std::string attribute = "The attribute " + std::string(wanted.name) + " ";
  if (field.type != PluginFieldType::kINT32 || field.length != wanted.length ||
      field.data == nullptr) {
    throw std::runtime_error(attribute + "has to be " + std::to_string(wanted.length) +
                             " integers of 32 bits");
  }
  std::copy_n(static_cast<const std::int32_t*>(field.data), wanted.length, to);
  for (std::int32_t i = 0; i < wanted.length; ++i) {
    if (to[i] < wanted.least || to[i] > wanted.most) {
      throw std::runtime_error(attribute + "holds " + std::to_string(to[i]) +
                               " but has to be from " + std::to_string(wanted.least) + " to " +
                               std::to_string(wanted.most));
    }
  }
}

void check(const Block& block) {
  const bool same = block.channels_in == block.channels_out && block.stride == 1;
  if ((!block.bottleneck && block.channels != block.channels_out) || (!block.project && !same) ||
      block.backward > block.channels_in) {
    throw std::runtime_error("The attributes contradict each other");
  }
}

}  // namespace

BlockFields::BlockFields(const nvinfer1::PluginFieldCollection* fields) {
  if (fields == nullptr || fields->nbFields < 0 ||
      (fields->nbFields > 0 && fields->fields == nullptr)) {
    throw std::runtime_error("There are no attributes");
  }
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    read(*fields, kFields[i], &values_[i]);
  }
  read(*fields, kActions, actions_.data());
  point();
  std::size_t next = 0;
  const auto take = [&] { return std::int64_t{values_[next++]}; };  // in the order of kFields
  block_.bottleneck = take() != 0;
  block_.frames = take();
  block_.height = take();
  block_.width = take();
  block_.channels_in = take();
  block_.channels = take();
  block_.channels_out = take();
  block_.stride = take();
  block_.project = take() != 0;
  block_.forward = take();
  block_.backward = block_.forward + take();
  block_.shift_shortcut = take() != 0;
  block_.hidden = take();
  block_.summed = take() != 0;
  std::copy(actions_.begin(), actions_.end(), block_.actions.begin());
  check(block_);
}

BlockFields::BlockFields(const BlockFields& other)
    : values_(other.values_), actions_(other.actions_), block_(other.block_) {
  point();
}

void BlockFields::point() {
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    fields_[i] = {kFields[i].name, &values_[i], PluginFieldType::kINT32, kFields[i].length};
  }
  fields_.back() = {kActions.name, actions_.data(), PluginFieldType::kINT32, kActions.length};
  collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
}

}  // namespace adafuse::plugin
