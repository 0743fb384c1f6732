// How much of a batch runs at a time.
#pragma once

#include <cstdint>

#include "adafuse/metadata.hpp"

namespace adafuse {

// How many clips a fused graph runs together, as in Python (tests/vectors/clips_at_once.json ties
// the two); other graphs take all.  Eight frames of 224 x 224 are work enough for all threads, and
// more of them leave less of what one block gives in the processor's cache for the next.
std::int64_t clips_at_once(const Metadata& metadata);

}  // namespace adafuse
