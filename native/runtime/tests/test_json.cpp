// JSON texts that Python reads or refuses, and what becomes of numbers and strings.
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "src/json.h"
#include "tests/vectors.h"

using adafuse::parse_json;

TEST_CASE("json: what is read and what is refused") {
  for (const auto& entry : adafuse::read_cases("json")) {
    const std::string text = adafuse::decode_base64(entry["text"]);
    CAPTURE(text.substr(0, 80));
    if (entry["good"]) {
      CHECK_NOTHROW(parse_json(text));
    } else {
      CHECK_THROWS_AS(parse_json(text), std::runtime_error);
    }
  }
}

TEST_CASE("json: values") {
  const auto json = parse_json(R"([9007199254740993, -20, 2.5e-3, "\u00e9\ud83d\ude00"])");
  CHECK(json[0].get<std::int64_t>() == 9007199254740993);  // no double
  CHECK(json[1].get<std::int64_t>() == -20);
  CHECK(json[2].get<double>() == 2.5e-3);
  CHECK(json[3].get<std::string>() == "\xC3\xA9\xF0\x9F\x98\x80");
}

TEST_CASE("json: errors say what and where") {
  const auto message = [](const char* text) -> std::string {
    try {
      parse_json(text);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message("{\"a\":\n[1 2]}").find("parse error at line 2, column 4") == 0);
  CHECK(message("{\"a\":1,\"a\":2}") == "it has 'a' twice");
  CHECK(message("\xEF\xBB\xBF{}") == "it begins with a byte-order mark");
  CHECK(message(std::string(65, '[').c_str()) == "it has more than 64 levels");
}
