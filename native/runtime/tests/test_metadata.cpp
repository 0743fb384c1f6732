// Files that are no model of ours are refused with a reason.
#include <cstdio>
#include <fstream>
#include <string>

#include "adafuse/errors.hpp"
#include "adafuse/metadata.hpp"
#include "tests/check.h"

namespace {

const char* const kFile = "test_metadata.onnx";

template <class Error>
void check_refused(const std::string& bytes, const std::string& reason) {
  std::ofstream(kFile, std::ios::binary) << bytes;
  try {
    adafuse::read_metadata(kFile);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find(reason) != std::string::npos);
    return;
  }
  CHECK(!"an exception");
}

// A model with one entry of metadata_props (field 14: 0x72), of a key (0x0A) and a value (0x12).
std::string model_with(const std::string& json) {
  const auto field = [](char tag, const std::string& content) {
    std::string bytes{tag};
    std::size_t size = content.size();
    for (; size >= 0x80; size >>= 7) {
      bytes += static_cast<char>(0x80 | (size & 0x7F));
    }
    return bytes + static_cast<char>(size) + content;
  };
  return field('\x72', field('\x0A', "adafuse") + field('\x12', json));
}

// Whole numbers that are no sizes, counts or places in a tensor.
void check_numbers() {
  const std::string record =
      R"({"schema":1,"mode":"stream","precision":"fp32","tool_version":"1","operators":{},)"
      R"("config":{"num_classes":5,"num_segments":8,"consensus":"average","class_names":[],)"
      R"("preprocessing":{"resize":40,"crop":32,"mean":[0,0,0],"std":[1,1,1],"scale":1,)"
      R"("channel_order":"rgb"}},"gates":["first"],"layers":[{"name":"a","macs":80,)"
      R"("output":{"gate":0,"start":3,"stop":9}}],"state":[{"input":"x","output":"y",)"
      R"("shape":[4,6],"dtype":"int32"}]})";
  std::ofstream(kFile, std::ios::binary) << model_with(record);
  CHECK(adafuse::read_metadata(kFile).state[0].shape == (adafuse::Shape{4, 6}));
  const std::string huge = "9223372036854775807";
  for (const std::string good :
       {"\"num_classes\":5", "\"num_segments\":8", "\"resize\":40", "\"crop\":32", "\"macs\":80",
        "\"gate\":0", "\"start\":3", "\"stop\":9", "\"shape\":[4"}) {
    for (const std::string& bad : {std::string("-1"), huge}) {
      std::string damaged = record;
      const std::size_t end = good.find_last_not_of("0123456789") + 1;
      damaged.replace(damaged.find(good), good.size(), good.substr(0, end) + bad);
      check_refused<adafuse::InputError>(model_with(damaged), "is damaged (");
    }
  }
}

}  // namespace

int main() {
  using adafuse::IncompatibleArtifactError;
  using adafuse::InputError;
  std::remove(kFile);
  try {
    adafuse::read_metadata(kFile);
    CHECK(!"an exception");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("There is no graph") == 0);
    CHECK(error.exit_code() == 1);
  }
  check_refused<InputError>("", "carries no adafuse-deploy metadata");
  check_refused<InputError>("no model", "is not a readable ONNX file");
  const std::string good = model_with("{}");
  check_refused<InputError>(good.substr(0, good.size() - 1), "is not a readable ONNX file");
  check_refused<InputError>(model_with("{\"schema\":1"), "is damaged (expected }");
  check_refused<InputError>(model_with("{\"schema\":1}"), "is damaged ('config' is missing)");
  check_refused<IncompatibleArtifactError>(model_with("{\"schema\":2,\"tool_version\":\"9\"}"),
                                           "has metadata schema 2 (adafuse-deploy 9)");
  check_numbers();
  std::remove(kFile);
}
