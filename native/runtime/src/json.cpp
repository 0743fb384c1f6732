#include "src/json.h"

#include <cstddef>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace adafuse {
namespace {

constexpr std::size_t kMaxDepth = 64;  // adafuse_deploy's records have 5 levels

// Refuses what RFC 8259 leaves to readers, value by value, before it is stored.
class Limits {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        if (static_cast<std::size_t>(depth) >= kMaxDepth) {
          throw std::runtime_error("it has more than " + std::to_string(kMaxDepth) + " levels");
        }
        keys_.resize(static_cast<std::size_t>(depth) + 1);
        keys_.back().clear();
        break;
      case Event::key:
        if (!keys_.back().insert(value.get_ref<const std::string&>()).second) {
          throw std::runtime_error("it has '" + value.get_ref<const std::string&>() + "' twice");
        }
        break;
      case Event::object_end:
      case Event::array_end:
        keys_.resize(static_cast<std::size_t>(depth));
        break;
      case Event::value:
        break;
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects around the current value
};

// The message without its "[json.exception.parse_error.101] ".
std::string sentence(const Json::exception& error) {
  const std::string message = error.what();
  const std::size_t end = message.find("] ");
  return end == std::string::npos ? message : message.substr(end + 2);
}

}  // namespace

Json parse_json(std::string_view text) {
  // The parser takes a mark for white space and NUL for the end of the text.
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    throw std::runtime_error("it begins with a byte-order mark");
  }
  if (const std::size_t place = text.find('\0'); place != text.npos) {
    throw std::runtime_error("it has a NUL at byte " + std::to_string(place));
  }
  try {
    return Json::parse(text, Limits());
  } catch (const Json::exception& error) {
    throw std::runtime_error(sentence(error));
  }
}

bool is_utf8(const std::string& text) {
  try {
    Json(text).dump();  // which JSON has to be
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace adafuse
