#include "adafuse/sampling.hpp"

#include <algorithm>
#include <string>

#include "adafuse/errors.hpp"

namespace adafuse {

std::vector<std::int64_t> center_indices(std::int64_t num_frames, std::int64_t num_segments) {
  if (num_frames < 1 || num_segments < 1) {
    throw InputError("Cannot take " + std::to_string(num_segments) + " segments of " +
                     std::to_string(num_frames) + " frames.");
  }
  // Rounded after every step, as in Python.
  const double tick = static_cast<double>(num_frames) / static_cast<double>(num_segments);
  std::vector<std::int64_t> indices;
  for (std::int64_t segment = 0; segment < num_segments; ++segment) {
    const double begin = tick * static_cast<double>(segment);
    indices.push_back(num_frames < num_segments ? std::min(segment, num_frames - 1)
                                                : static_cast<std::int64_t>(tick / 2 + begin));
  }
  return indices;
}

Tensor<float> sample_clip(std::int64_t num_frames, const Metadata& metadata,
                          const ReadFrame& read) {
  Shape shape = metadata.clip_shape();
  shape.insert(shape.begin(), 1);
  Tensor<float> clip;
  clip.shape = std::move(shape);
  clip.values.reserve(element_count(clip.shape));
  std::int64_t last = -1;
  std::vector<float> pixels;
  for (const std::int64_t index : center_indices(num_frames, metadata.num_segments)) {
    if (index != last) {
      pixels = preprocess(read(index), metadata.preprocessing).values;
      last = index;
    }
    clip.values.insert(clip.values.end(), pixels.begin(), pixels.end());
  }
  return clip;
}

}  // namespace adafuse
