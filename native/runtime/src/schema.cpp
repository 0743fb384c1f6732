#include "src/schema.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <regex>
#include <stdexcept>
#include <string>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

// A field that the schema does not know; the message is its quoted name.
struct UnknownField : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error((path.empty() ? "the record" : path) + " " + what);
}

bool is_integer(const Json& value) {
  return value.is_number_integer() &&
         (!value.is_number_unsigned() ||
          value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max());
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "integer") return is_integer(value);
  return type == value.type_name();
}

// `value` against one schema; references lead into `root`, `path` names the value.
class Checker {
 public:
  explicit Checker(const Json& root) : root_(root) {}

  void check(const Json& value, const Json& schema, const std::string& path) const {
    if (const auto found = schema.find("$ref"); found != schema.end()) {
      const auto pointer = found->get_ref<const std::string&>().substr(1);
      check(value, root_.at(Json::json_pointer(pointer)), path);
    }
    check_type(value, schema, path);
    check_choice(value, schema, path);
    if (value.is_number()) check_number(value, schema, path);
    if (value.is_string()) check_string(value, schema, path);
    if (value.is_array()) check_array(value, schema, path);
    if (value.is_object()) check_object(value, schema, path);
  }

 private:
  static void check_type(const Json& value, const Json& schema, const std::string& path) {
    const auto found = schema.find("type");
    if (found == schema.end()) return;
    const Json types = found->is_array() ? *found : Json::array({*found});
    if (std::none_of(types.begin(), types.end(), [&](const Json& type) {
          return is_of_type(value, type.get_ref<const std::string&>());
        })) {
      const std::string type = types[0].get<std::string>();
      const std::string article =
          std::string("aeio").find(type[0]) == std::string::npos ? "a" : "an";
      refuse(path, "is not " + article + " " + type);
    }
  }

  static void check_choice(const Json& value, const Json& schema, const std::string& path) {
    Json choices = schema.value("enum", Json::array());
    if (const auto found = schema.find("const"); found != schema.end()) choices.push_back(*found);
    if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
      refuse(path, "is not one of " + choices.dump());
    }
  }

  static void check_number(const Json& value, const Json& schema, const std::string& path) {
    const auto limit = [&](const char* keyword, const char* words, auto broken) {
      const auto found = schema.find(keyword);
      if (found != schema.end() && broken(value, *found)) {
        refuse(path, "is " + value.dump() + ", " + words + " " + found->dump());
      }
    };
    limit("minimum", "less than", std::less<>());
    limit("maximum", "more than", std::greater<>());
    limit("exclusiveMinimum", "not more than", std::less_equal<>());
  }

  static void check_string(const Json& value, const Json& schema, const std::string& path) {
    const auto& text = value.get_ref<const std::string&>();
    // Short strings only: the standard library's expressions recurse along their subject.
    const std::size_t most = schema.value("maxLength", text.size());
    const std::string pattern = schema.value("pattern", "");
    if (text.size() > most || (!pattern.empty() && !std::regex_match(text, std::regex(pattern)))) {
      refuse(path, "does not have the form " + pattern);
    }
  }

  void check_array(const Json& value, const Json& schema, const std::string& path) const {
    const std::size_t least = schema.value("minItems", std::size_t{0});
    const std::size_t most = schema.value("maxItems", value.size());
    if (value.size() < least || value.size() > most) {
      refuse(path, "has " + std::to_string(value.size()) + " items, not " +
                       std::to_string(value.size() < least ? least : most));
    }
    const auto items = schema.find("items");
    for (std::size_t i = 0; items != schema.end() && i < value.size(); ++i) {
      check(value[i], *items, path + "[" + std::to_string(i) + "]");
    }
  }

  void check_object(const Json& value, const Json& schema, const std::string& path) const {
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const Json& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get_ref<const std::string&>())) {
        throw std::runtime_error("'" + prefix + name.get<std::string>() + "' is missing");
      }
    }
    const Json properties = schema.value("properties", Json::object());
    const Json others = schema.value("additionalProperties", Json(true));
    for (const auto& [name, member] : value.items()) {
      if (const auto found = properties.find(name); found != properties.end()) {
        check(member, *found, prefix + name);
      } else if (others.is_object()) {
        check(member, others, prefix + name);
      } else if (!others.get<bool>()) {
        throw UnknownField("'" + prefix + name + "'");
      }
    }
  }

  const Json& root_;
};

// A member in words, "None" where there is none.
std::string words(const Json& values, const char* key) {
  const Json value = values.is_object() ? values.value(key, Json()) : Json();
  if (value.is_null()) return "None";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

void check_record(const Json& values, const Json& schema, const std::string& source,
                  const std::string& kind, const std::string& remedy) {
  if (!values.is_object()) refuse("", "is not an object");
  const std::string writer = " (adafuse-deploy " + words(values, "tool_version") + ")";
  const Json& known = schema.at("properties").at("schema").at("const");
  if (values.value("schema", Json()) != known) {
    throw IncompatibleArtifactError(source + " has " + kind + " schema " + words(values, "schema") +
                                    writer + ", this one reads " + known.dump() + "; " + remedy +
                                    ".");
  }
  try {
    Checker(schema).check(values, schema, "");
  } catch (const UnknownField& error) {
    throw IncompatibleArtifactError(
        source + " has the " + kind + " field " + error.what() + writer +
        ", which this one does not know; install that version, or " + remedy + ".");
  }
}

}  // namespace adafuse
