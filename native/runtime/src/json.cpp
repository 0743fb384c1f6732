#include "src/json.h"

#include <locale>
#include <sstream>
#include <stdexcept>

namespace adafuse {

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json document() {
    const Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) {
      fail("nothing more");
    }
    return value;
  }

 private:
  static constexpr int kMaxDepth = 64;  // our records have 5; damaged ones must not end the stack

  [[noreturn]] void fail(const std::string& wanted) const {
    throw std::runtime_error("expected " + wanted + " at character " + std::to_string(at_));
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) {
      ++at_;
    }
  }

  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) {
      return false;
    }
    at_ += token.size();
    return true;
  }

  void expect(std::string_view token) {
    if (!accept(token)) {
      fail(std::string(token));
    }
  }

  Json parse_value(int depth) {
    if (depth > kMaxDepth) {
      fail("fewer levels");
    }
    Json json;
    skip_space();
    if (accept("{")) {
      json.value_ = parse_object(depth);
    } else if (accept("[")) {
      json.value_ = parse_array(depth);
    } else if (text_.substr(at_, 1) == "\"") {
      json.value_ = parse_string();
    } else if (accept("true")) {
      json.value_ = true;
    } else if (accept("false")) {
      json.value_ = false;
    } else if (accept("null")) {
      json.value_ = nullptr;
    } else {
      parse_number(json);
    }
    return json;
  }

  std::map<std::string, Json> parse_object(int depth) {
    std::map<std::string, Json> members;
    if (accept("}")) {
      return members;
    }
    do {
      skip_space();
      std::string key = parse_string();
      expect(":");
      members[std::move(key)] = parse_value(depth + 1);
    } while (accept(","));
    expect("}");
    return members;
  }

  std::vector<Json> parse_array(int depth) {
    std::vector<Json> items;
    if (accept("]")) {
      return items;
    }
    do {
      items.push_back(parse_value(depth + 1));
    } while (accept(","));
    expect("]");
    return items;
  }

  char next() {
    if (at_ == text_.size()) {
      fail("the end of a string");
    }
    return text_[at_++];
  }

  std::string parse_string() {
    if (text_.substr(at_, 1) != "\"") {
      fail("a string");
    }
    ++at_;
    std::string result;
    for (char c = next(); c != '"'; c = next()) {
      if (c != '\\') {
        result += c;
        continue;
      }
      c = next();
      constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
      if (c == 'u') {
        append_utf8(result, parse_code_point());
      } else if (const std::size_t i = kNames.find(c); i != kNames.npos) {
        result += kValues[i];
      } else {
        fail("an escape");
      }
    }
    return result;
  }

  std::uint32_t parse_hex() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(next());
      if (digit == std::string_view::npos) {
        fail("a hexadecimal digit");
      }
      value = value * 16 + static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
    }
    return value;
  }

  // What lies beyond 16 bits is written as two escapes.
  std::uint32_t parse_code_point() {
    const std::uint32_t high = parse_hex();
    if (high < 0xD800 || high > 0xDBFF || text_.substr(at_, 2) != "\\u") {
      return high;
    }
    at_ += 2;
    return 0x10000 + ((high - 0xD800) << 10) + ((parse_hex() - 0xDC00) & 0x3FF);
  }

  static void append_utf8(std::string& text, std::uint32_t code) {
    const auto tail = [&](int shift) {
      text += static_cast<char>(0x80 | ((code >> shift) & 0x3F));
    };
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      text += static_cast<char>(0xE0 | (code >> 12));
      tail(6);
      tail(0);
    } else {
      text += static_cast<char>(0xF0 | (code >> 18));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  // Streams, unlike strtod, can be told to ignore the program's locale.
  template <class T>
  T convert(const std::string& token) const {
    std::istringstream stream(token);
    stream.imbue(std::locale::classic());
    T value{};
    if (!(stream >> value) || stream.peek() != std::char_traits<char>::eof()) {
      fail("a value");
    }
    return value;
  }

  void parse_number(Json& json) {
    const std::size_t stop = text_.find_first_not_of("+-.0123456789eE", at_);
    const std::string token(text_.substr(at_, stop - at_));
    if (token.find_first_of(".eE") == token.npos) {
      json.value_ = convert<std::int64_t>(token);
    } else {
      json.value_ = convert<double>(token);
    }
    at_ += token.size();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

namespace {

template <class T, class Value>
const T& get(const Value& value, const char* kind) {
  if (const T* content = std::get_if<T>(&value)) {
    return *content;
  }
  throw std::runtime_error(std::string("a value is not ") + kind);
}

}  // namespace

Json Json::parse(std::string_view text) {
  return JsonParser(text).document();
}

const Json* Json::find(const std::string& key) const {
  const auto found = object().find(key);
  return found == object().end() ? nullptr : &found->second;
}

const Json& Json::operator[](const std::string& key) const {
  if (const Json* value = find(key)) {
    return *value;
  }
  throw std::runtime_error("'" + key + "' is missing");
}

const std::map<std::string, Json>& Json::object() const {
  return get<std::map<std::string, Json>>(value_, "an object");
}
const std::vector<Json>& Json::array() const {
  return get<std::vector<Json>>(value_, "an array");
}
const std::string& Json::string() const {
  return get<std::string>(value_, "a string");
}
std::int64_t Json::integer() const {
  return get<std::int64_t>(value_, "an integer");
}

bool Json::boolean() const {
  return get<bool>(value_, "true or false");
}

double Json::number() const {
  if (const auto* whole = std::get_if<std::int64_t>(&value_)) {
    return static_cast<double>(*whole);
  }
  return get<double>(value_, "a number");
}

}  // namespace adafuse
