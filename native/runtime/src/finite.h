// Checks of a network's input and logits for NaN and infinity, as adafuse_deploy.core.finite.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "adafuse/errors.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

// Throws InputError unless all of `frames` (B, ...) is finite.
inline void check_input(const Tensor<float>& frames) {
  const auto bad = std::find_if(frames.values.begin(), frames.values.end(),
                                [](float value) { return !std::isfinite(value); });
  if (bad != frames.values.end()) {
    const std::size_t each = frames.values.size() / static_cast<std::size_t>(frames.shape[0]);
    const auto index = static_cast<std::size_t>(bad - frames.values.begin()) / each;
    throw InputError("Input " + std::to_string(index) +
                     " of the batch has NaN or infinite values; check how its frames were decoded "
                     "and normalised.");
  }
}

// Throws NotFiniteError unless all of what the engine `name` answered is finite.
inline void check_logits(const Tensor<float>& logits, const std::string& name) {
  if (!std::all_of(logits.values.begin(), logits.values.end(),
                   [](float value) { return std::isfinite(value); })) {
    throw NotFiniteError(
        "The network gave NaN or infinite logits for finite input in " + name +
        ": its weights are damaged, or its precision is too small for them; run 'adafuse-deploy "
        "verify' against the checkpoint, and build in a larger precision if only this engine "
        "fails.");
  }
}

}  // namespace adafuse
