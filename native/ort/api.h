// ONNX Runtime's C++ interface for a library that is loaded by the runtime, not linked to it.
#pragma once

#include <cstdint>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

namespace adafuse {

// The oldest interface that has all this library calls, whatever newer headers it is built with:
// a runtime accepts every older interface and refuses newer ones.
constexpr std::uint32_t kApiVersion = 20;
static_assert(kApiVersion <= ORT_API_VERSION, "ONNX Runtime's headers must be 1.20 or newer");

}  // namespace adafuse
