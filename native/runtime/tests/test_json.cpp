// What Python's json module writes is read; what is damaged is refused.
#include <stdexcept>
#include <string>

#include "src/json.h"
#include "tests/check.h"

using adafuse::Json;

namespace {

void reads_values() {
  const Json json = Json::parse(
      R"( {"a":[1,-20,2.5e-3,1e5],"b":{"c":"x\"\\\n\u00e9\u4e2d\ud83d\ude00"},"n":null,"t":true} )");
  CHECK(json["a"].array().size() == 4);
  CHECK(json["a"].array()[1].integer() == -20);
  CHECK(json["a"].array()[1].number() == -20.0);
  CHECK(json["a"].array()[2].number() == 2.5e-3);
  CHECK(json["a"].array()[3].number() == 1e5);
  CHECK(json["b"]["c"].string() == "x\"\\\n\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80");
  CHECK(json.find("absent") == nullptr);
  CHECK(Json::parse("9007199254740993").integer() == 9007199254740993);  // no double
  CHECK(Json::parse("[]").array().empty());
  CHECK(Json::parse("{}").object().empty());
}

template <class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

void refuses_damage() {
  for (const char* text : {"", "{", "[1,", "[1 2]", "{\"a\"}", "{a:1}", "\"x", "\"\\q\"",
                           "\"\\u12\"", "1.2.3", "--1", "nul", "1 2", "99999999999999999999"}) {
    CHECK(message_of([&] { Json::parse(text); }).find("expected ") == 0);
  }
  CHECK(message_of([] { Json::parse(std::string(100000, '[')); }) ==
        "expected fewer levels at character 65");
  const Json json = Json::parse("{\"a\":1}");
  CHECK(message_of([&] { json["b"]; }) == "'b' is missing");
  CHECK(message_of([&] { json["a"].string(); }) == "a value is not a string");
}

}  // namespace

int main() {
  reads_values();
  refuses_damage();
}
