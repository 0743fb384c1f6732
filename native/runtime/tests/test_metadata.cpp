// Records in graphs and sidecars: what is read, what is refused, and what the errors name.
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "adafuse/errors.hpp"
#include "adafuse/metadata.hpp"
#include "src/onnx_properties.h"
#include "src/sidecar.h"
#include "tests/vectors.h"

using adafuse::IncompatibleArtifactError;
using adafuse::InputError;
using nlohmann::json;

namespace {

const std::string kModel = "test_metadata.onnx";
const std::string kEngine = "test_metadata.engine";

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A model with one entry of metadata_props (field 14: 0x72), of a key (0x0A) and a value (0x12).
std::string model_with(const std::string& text) {
  const auto field = [](char tag, const std::string& content) {
    std::string bytes{tag};
    std::size_t size = content.size();
    for (; size >= 0x80; size >>= 7) {
      bytes += static_cast<char>(0x80 | (size & 0x7F));
    }
    return bytes + static_cast<char>(size) + content;
  };
  return field('\x72', field('\x0A', "adafuse") + field('\x12', text));
}

json changed_record(const json& records, const json& entry) {
  const json &path = entry["path"], &value = entry["value"];
  json record = records.at(entry["record"].get<std::string>());
  if (path.empty()) {
    return value.is_null() ? record : value;
  }
  json* place = &record;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    place = path[i].is_number() ? &place->at(path[i].get<std::size_t>())
                                : &place->at(path[i].get<std::string>());
  }
  if (value == "(removed)") {
    place->erase(path.back().get<std::string>());
  } else {
    (*place)[path.back().get<std::string>()] = value;
  }
  return record;
}

void read(const json& record, const std::string& kind) {
  if (kind == "sidecar") {
    write(kEngine, "");  // whose SHA-256 the record has
    write(kEngine + ".json", record.dump());
    adafuse::read_sidecar(kEngine);
  } else {
    write(kModel, model_with(record.dump()));
    adafuse::read_metadata(kModel);
  }
}

// "class: message", or "" where nothing was thrown.
template <class Body>
std::string refusal(Body body) {
  try {
    body();
  } catch (const InputError& error) {
    return std::string("InputError: ") + error.what();
  } catch (const IncompatibleArtifactError& error) {
    return std::string("IncompatibleArtifactError: ") + error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("records: as Python reads and refuses them") {
  const json records = adafuse::read_vectors("records_0.1.0");
  for (const json& entry : adafuse::read_cases("records")) {
    const std::string kind = entry["record"], outcome = entry["outcome"], names = entry["names"];
    const json record = changed_record(records, entry);
    const std::string message = refusal([&] { read(record, kind); });
    CAPTURE(entry.dump());
    CAPTURE(message);
    CHECK((outcome == "good") == message.empty());
    CHECK(contains(message, names));
    if (outcome == "incompatible") {
      CHECK(contains(message, "IncompatibleArtifactError: "));
      CHECK(contains(message, "(adafuse-deploy 0.1.0)"));
    } else if (outcome == "damaged" && kind == "sidecar") {
      CHECK(contains(message, "IncompatibleArtifactError: "));
      CHECK(contains(message, "cannot be read as the sidecar"));
    } else if (outcome == "damaged") {
      CHECK(contains(message, "InputError: The adafuse-deploy metadata of "));
      CHECK(contains(message, "is damaged ("));
    }
  }
  for (const std::string& file : {kModel, kEngine, kEngine + ".json"}) {
    std::remove(file.c_str());
  }
}

TEST_CASE("records: fields") {
  const json records = adafuse::read_vectors("records_0.1.0");
  write(kModel, model_with(records["stream"].dump()));
  const adafuse::Metadata stream = adafuse::read_metadata(kModel);
  CHECK(stream.mode == "stream");
  CHECK(stream.label(2) == "still");
  CHECK(stream.clip_shape() == adafuse::Shape{4, 3, 32, 32});
  CHECK(stream.state.at(0).input == "state_000_shifted");
  CHECK(stream.state.at(0).shape == adafuse::Shape{1, 8, 8});
  CHECK(stream.layers.at(0).macs == 301056);
  CHECK(!stream.frame_spacing.has_value());
  CHECK(stream.preprocessing.mean == std::array<float, 3>{0.485f, 0.456f, 0.406f});
  json spaced = records["stream"];
  spaced["config"]["frame_spacing"] = {{"median", 0.375}, {"p10", 0.25}, {"p90", 0.5}};
  write(kModel, model_with(spaced.dump()));
  const adafuse::FrameSpacing spacing = adafuse::read_metadata(kModel).frame_spacing.value();
  CHECK(spacing.median == 0.375);
  CHECK(spacing.p10 == 0.25);
  CHECK(spacing.p90 == 0.5);
  write(kModel, model_with(records["int8"].dump()));
  const adafuse::Metadata int8 = adafuse::read_metadata(kModel);
  CHECK(int8.precision == "int8");
  CHECK(int8.layers.back().output.has_value() == false);
  CHECK(int8.portable_name.empty());
  write(kModel, model_with(records["fused"].dump()));
  CHECK(adafuse::read_metadata(kModel).portable_name == "clip.onnx");
  std::remove(kModel.c_str());
}

TEST_CASE("records: files that carry none") {
  const auto message = [] { return refusal([] { adafuse::read_metadata(kModel); }); };
  std::remove(kModel.c_str());
  CHECK(contains(message(), "InputError: There is no graph"));
  write(kModel, "");
  CHECK(contains(message(), "carries no adafuse-deploy metadata"));
  write(kModel, model_with("{\"schema\":1"));
  CHECK(contains(message(), "is damaged (parse error at line 1"));
  std::remove(kModel.c_str());
}

TEST_CASE("properties of ONNX files: as the onnx package reads them") {
  for (const json& entry : adafuse::read_cases("properties")) {
    CAPTURE(entry.dump());
    write(kModel, adafuse::decode_base64(entry["file"]));
    if (entry["properties"].is_null()) {
      CHECK_THROWS_AS(adafuse::read_onnx_properties(kModel), InputError);
    } else {
      CHECK(json(adafuse::read_onnx_properties(kModel)) == entry["properties"]);
    }
  }
  std::remove(kModel.c_str());
}

TEST_CASE("sidecars: compute capabilities") {
  adafuse::Sidecar sidecar;
  sidecar.compute_capabilities = {"8.6", "9.0+"};
  for (const char* fits : {"8.6", "9.0", "9.9", "12.0", "10.3"}) {
    CHECK_NOTHROW(sidecar.check_gpu("model.engine", fits));
  }
  for (const char* other : {"8.0", "8.7", "8.60", "7.5"}) {
    CHECK_THROWS_AS(sidecar.check_gpu("model.engine", other), IncompatibleArtifactError);
  }
}
