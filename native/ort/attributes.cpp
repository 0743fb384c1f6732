#include "ort/attributes.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <type_traits>

#include "layout/nhwc_layout.h"

namespace adafuse {
namespace {

[[noreturn]] void refuse(const char* name, const std::string& rule) {
  throw std::invalid_argument(std::string("the attribute ") + name + " " + rule + ".");
}

std::size_t checked(const char* name, std::int64_t value, std::size_t least, std::size_t most) {
  if (value < static_cast<std::int64_t>(least) || value > static_cast<std::int64_t>(most)) {
    const std::string bounds = std::to_string(least) + " to " + std::to_string(most);
    refuse(name, "is " + std::to_string(value) + " but must be from " + bounds);
  }
  return static_cast<std::size_t>(value);
}

template <typename T>
constexpr OrtOpAttrType kKind = std::is_same_v<T, std::int64_t>         ? ORT_OP_ATTR_INT
                                : std::is_same_v<T, float>              ? ORT_OP_ATTR_FLOAT
                                : std::is_same_v<T, std::string>        ? ORT_OP_ATTR_STRING
                                : std::is_same_v<T, std::vector<float>> ? ORT_OP_ATTR_FLOATS
                                                                        : ORT_OP_ATTR_INTS;

template <typename T>
std::optional<T> find_in(const OrtKernelInfo* info, const char* name) {
  try {
    if constexpr (std::is_same_v<T, std::vector<float>>) {
      return Ort::ConstKernelInfo(info).GetAttributes<float>(name);
    } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      return Ort::ConstKernelInfo(info).GetAttributes<std::int64_t>(name);
    } else {
      return Ort::ConstKernelInfo(info).GetAttribute<T>(name);
    }
  } catch (const Ort::Exception&) {
    return std::nullopt;
  }
}

template <typename T>
std::optional<T> find_in(const OrtShapeInferContext* context, const char* name) {
  const OrtApi& api = Ort::GetApi();
  const OrtOpAttr* attribute = nullptr;
  const Ort::Status missing(api.ShapeInferContext_GetAttribute(context, name, &attribute));
  if (!missing.IsOK() || attribute == nullptr) {
    return std::nullopt;
  }
  // ReadOpAttr() without enough room fails and sets `bytes` to the size: 0 for another type.
  std::size_t bytes = 0;
  T value{};
  if constexpr (std::is_arithmetic_v<T>) {
    const Ort::Status failed(api.ReadOpAttr(attribute, kKind<T>, &value, sizeof(T), &bytes));
    return failed.IsOK() ? std::optional<T>(value) : std::nullopt;
  } else {
    const auto read = [&](std::size_t room) {
      value.resize(room / sizeof(typename T::value_type));
      typename T::value_type nothing{};
      void* const to = value.empty() ? &nothing : value.data();
      return Ort::Status(api.ReadOpAttr(attribute, kKind<T>, to, room, &bytes)).IsOK();
    };
    if (!read(0) && (bytes == 0 || !read(bytes))) {
      return std::nullopt;
    }
    value.resize(bytes / sizeof(typename T::value_type));
    return value;
  }
}

}  // namespace

template <typename T>
std::optional<T> Attributes::find(const char* name) const {
  return info_ != nullptr ? find_in<T>(info_, name) : find_in<T>(context_, name);
}

bool Attributes::exists(const char* name) const {
  return find<std::int64_t>(name) || find<float>(name) || find<std::string>(name) ||
         find<std::vector<std::int64_t>>(name) || find<std::vector<float>>(name);
}

std::size_t Attributes::count(const char* name, std::size_t least, std::size_t most) const {
  const auto value = find<std::int64_t>(name);
  if (!value) {
    refuse(name, "is missing or no integer");
  }
  return checked(name, *value, least, most);
}

std::size_t Attributes::count_or(const char* name, std::size_t absent, std::size_t most) const {
  return exists(name) ? count(name, 0, most) : absent;
}

std::optional<bool> Attributes::flag_if_any(const char* name) const {
  return exists(name) ? std::optional(flag(name)) : std::nullopt;
}

void Attributes::require_layout_version() const {
  constexpr const char* kName = "layout_version";
  constexpr std::size_t kOldest = 1;
  if (const std::size_t version = count_or(kName, kOldest, kMostSize);
      version != static_cast<std::size_t>(kLayoutVersion)) {
    refuse(kName, "is " + std::to_string(version) + " but this library's layout of frames is " +
                      std::to_string(kLayoutVersion) +
                      ": build the engine again with the release of adafuse-deploy that runs it");
  }
}

std::string Attributes::text(const char* name) const {
  const auto value = find<std::string>(name);
  if (!value) {
    refuse(name, "is missing or no string");
  }
  return *value;
}

std::vector<std::int64_t> Attributes::integers(const char* name) const {
  const auto value = find<std::vector<std::int64_t>>(name);
  if (!value) {
    refuse(name, "is missing or no list of integers");
  }
  return *value;
}

std::optional<std::vector<std::int64_t>> Attributes::integers_if_any(const char* name) const {
  return exists(name) ? std::optional(integers(name)) : std::nullopt;
}

std::vector<float> Attributes::scales(std::size_t count) const {
  const auto values = find<std::vector<float>>("scales");
  const auto bad = [](float scale) { return !(scale > 0 && std::isfinite(scale)); };
  if (!values || values->size() != count || std::any_of(values->begin(), values->end(), bad)) {
    refuse("scales", "must be a list of positive numbers, " + std::to_string(count) + " of them");
  }
  return *values;
}

Precision Attributes::precision() const {
  const std::string name = text("precision");
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    if (name == to_string(precision)) {
      return precision;
    }
  }
  refuse("precision", "is " + name + " but must be fp32, bf16 or int8");
}

Precision Attributes::precision(bool quantized) const {
  const Precision precision = this->precision();
  if ((precision == Precision::kInt8) != quantized) {
    refuse("precision", quantized ? "must be int8 where weights are" : "must be fp32 or bf16 here");
  }
  return precision;
}

}  // namespace adafuse
