// Multiply-accumulates under policies, the same numbers as adafuse_deploy.core.cost gives.
#pragma once

#include <cstdint>
#include <vector>

#include "adafuse/export.h"
#include "adafuse/metadata.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

// The multiply-accumulates each of B clips needs.  Policies are (B, T, C) per gate; a dense network
// has none and gets one number.
ADAFUSE_API std::vector<std::int64_t> clip_macs(const std::vector<Layer>& layers,
                                                const std::vector<Tensor<std::uint8_t>>& policies,
                                                std::int64_t frames);

// The multiply-accumulates the next frame of each of B streams needs: what it keeps, and what it
// reuses of the previous frame that this did not keep.  Policies are (B, 1, C); at a stream's
// beginning the previous ones keep everything.
ADAFUSE_API std::vector<std::int64_t> stream_macs(
    const std::vector<Layer>& layers, const std::vector<Tensor<std::uint8_t>>& policies,
    const std::vector<Tensor<std::uint8_t>>& previous);

}  // namespace adafuse
