// The record that adafuse-deploy writes into every export: preprocessing, classes, gates, cost.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adafuse/export.h"
#include "adafuse/tensor.hpp"

namespace adafuse {

// Settings of preprocess(), from decoded RGB frames to network input.
struct Preprocessing {
  int resize = 256;
  int crop = 224;
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
  float scale = 1;
  std::string channel_order = "rgb";  // or "bgr"
};

// Seconds from a clip's frame to the next in training: median, 10th and 90th percentile of the
// videos.
struct FrameSpacing {
  double median = 0, p10 = 0, p90 = 0;
};

// Channels start ... stop - 1 of a gate, which are a layer's outputs or inputs.
struct ChannelGate {
  std::size_t gate = 0, start = 0, stop = 0;
};

// The cost of one layer for one frame, and the gates that can spare a part of it.
struct Layer {
  std::string name;
  std::int64_t macs = 0;  // multiply-accumulates when every channel is computed
  std::optional<ChannelGate> output, input;
};

// One tensor that a stream graph hands from a frame to the next; zeros begin a stream.
struct StateTensor {
  std::string input, output;
  Shape shape;        // without the first dimension, the streams
  std::string dtype;  // "float32" or "int32"
};

struct ADAFUSE_API Metadata {
  std::string mode;  // "clip" or "stream"
  std::string precision;
  std::string tool_version;
  std::string portable_name;             // the graph that this one was built from, or ""
  std::map<std::string, int> operators;  // domain -> version of those outside standard ONNX
  std::int64_t num_classes = 0;
  std::int64_t num_segments = 0;         // frames per clip
  std::string consensus;                 // "average" or "lstm"
  std::vector<std::string> class_names;  // empty when unknown
  Preprocessing preprocessing;
  std::optional<FrameSpacing> frame_spacing;  // nothing when unknown
  std::vector<Layer> layers;
  std::vector<std::string> gates;  // in network order
  std::vector<StateTensor> state;  // empty in clip mode

  // The class's name, or its number in words when names are unknown.
  std::string label(std::size_t index) const;
  Shape frame_shape() const;  // (3, H, W)
  Shape clip_shape() const;   // (T, 3, H, W)
};

// Reads the record of an ONNX file without loading the graph.
//
// Throws InputError: the file is missing, damaged or not exported by adafuse-deploy;
// IncompatibleArtifactError: another version wrote the record in another schema.
ADAFUSE_API Metadata read_metadata(const std::string& path);

}  // namespace adafuse
