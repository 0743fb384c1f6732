#include "src/clips_at_once.h"

#include <algorithm>
#include <limits>

namespace adafuse {

std::int64_t clips_at_once(const Metadata& metadata) {
  if (metadata.portable_name.empty()) {
    return std::numeric_limits<std::int64_t>::max();
  }
  const std::int64_t bytes = metadata.precision == "int8"   ? 1
                             : metadata.precision == "bf16" ? 2
                                                            : 4;
  // Bytes of eight frames of 224 x 224 in float32.
  const std::int64_t together = std::int64_t{8} * 3 * 224 * 224 * 4;
  const auto clip = static_cast<std::int64_t>(element_count(metadata.clip_shape()));
  return std::max(std::int64_t{1}, together / (clip * bytes));
}

}  // namespace adafuse
