// The number of clips of a batch that run at a time.
#pragma once

#include <cstdint>

#include "adafuse/metadata.hpp"

namespace adafuse {

// Clips that a fused graph runs together, as in Python (tests/vectors/clips_at_once.json ties the
// two); other graphs take all.  Eight frames of 224 x 224 are work enough for all threads; of more,
// one block's results would leave the processor's cache before the next block reads them.
std::int64_t clips_at_once(const Metadata& metadata);

}  // namespace adafuse
