// From a decoded frame to network input, bit by bit as adafuse_deploy.data.transforms.preprocess.
#pragma once

#include <cstddef>
#include <cstdint>

#include "adafuse/export.h"
#include "adafuse/metadata.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

// A view of 8-bit RGB pixels, row after row without gaps: (height, width, 3).
struct Frame {
  const std::uint8_t* pixels;
  int height, width;
};

// Resizes the short side with an antialiased triangle filter, cuts out the centre, normalises.
//
// Returns (3, crop, crop).  Throws InputError for a frame without pixels.
ADAFUSE_API Tensor<float> preprocess(const Frame& frame, const Preprocessing& preprocessing);

}  // namespace adafuse
