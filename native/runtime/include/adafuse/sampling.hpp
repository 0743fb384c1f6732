// Sampling of a clip's frames from a video, as adafuse_deploy.data.sampling.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "adafuse/export.h"
#include "adafuse/metadata.hpp"
#include "adafuse/preprocess.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

// The centre frame of each of `num_segments` equally long segments, ascending, counted from 0.
//
// With fewer frames than segments every frame is taken once and the last one is repeated.  Throws
// InputError unless both numbers are positive.
ADAFUSE_API std::vector<std::int64_t> center_indices(std::int64_t num_frames,
                                                     std::int64_t num_segments);

// Gives frame `index` of a video; what it points to must last until the next call.
using ReadFrame = std::function<Frame(std::int64_t index)>;

// A clip (1, T, 3, crop, crop) for Engine::run: the centre frames of a video's segments, each
// preprocessed.  Frames are asked for in ascending order, one that repeats only once.  Throws
// InputError for a video without frames.
ADAFUSE_API Tensor<float> sample_clip(std::int64_t num_frames, const Metadata& metadata,
                                      const ReadFrame& read);

}  // namespace adafuse
