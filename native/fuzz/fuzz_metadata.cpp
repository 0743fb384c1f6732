// The record of a graph, from JSON text on: parse_json, the schema, parse_metadata.
#include <exception>
#include <string_view>

#include "fuzz/target.h"
#include "runtime/src/json.h"
#include "runtime/src/parse_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    adafuse::parse_metadata(adafuse::parse_json(text), "the record");
  } catch (const std::exception&) {  // every fault of a record is one
  }
  return 0;
}
