// A reader for the JSON of our own metadata, so that the library needs ONNX Runtime alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace adafuse {

// One value.  Access to what is not there throws std::runtime_error that names it.
class Json {
 public:
  static Json parse(std::string_view text);

  const Json& operator[](const std::string& key) const;  // of an object
  const Json* find(const std::string& key) const;        // null when absent
  const std::map<std::string, Json>& object() const;
  const std::vector<Json>& array() const;
  const std::string& string() const;
  std::int64_t integer() const;
  double number() const;
  bool boolean() const;
  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }

 private:
  friend class JsonParser;
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, std::vector<Json>,
               std::map<std::string, Json>>
      value_;
};

}  // namespace adafuse
