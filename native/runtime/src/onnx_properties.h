// The entries that an ONNX file carries beside its graph.
#pragma once

#include <map>
#include <string>

namespace adafuse {

// Reads metadata_props of an ONNX file, skipping the graph.  Throws InputError.
std::map<std::string, std::string> read_onnx_properties(const std::string& path);

}  // namespace adafuse
