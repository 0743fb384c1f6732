// The layout of frames for programs that prepare or hold them: functions of the operator library
// with the linkage of C, which ctypes and dlsym() find.
#pragma once

#define ADAFUSE_EXPORT __attribute__((visibility("default")))

extern "C" {

// Version of these functions: goes up when one of them changes what it takes or gives.
ADAFUSE_EXPORT int adafuse_abi_version();

// Version of the frames' layout, kLayoutVersion of nhwc_layout.h.
ADAFUSE_EXPORT int adafuse_layout_version();

// Elements of 4 bytes from one pixel to the next (P) where frames hold `channels` channels, in the
// precision "fp32", "bf16" or "int8".  -1 for another precision, or channels beyond 1 to 2^31 - 1.
ADAFUSE_EXPORT long long adafuse_frame_units(long long channels, const char* precision);

// The same of conv1's result that a stream hands on, which has room for any choice of `channels`.
ADAFUSE_EXPORT long long adafuse_history_units(long long channels, const char* precision);

// Output channels of a panel in files that hold float32 weights by panels.
ADAFUSE_EXPORT int adafuse_weight_panel();
}
