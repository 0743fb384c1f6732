// Functions of the operator library with the linkage of C, which ctypes and dlsym() find: the
// layout of frames for programs that prepare or hold them, and where the operators' time goes.
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

// 10^9 multiply-accumulates a second that the calling thread does at most with the kernels of a
// precision, measured for a tenth of a second; -1 for another precision.
ADAFUSE_EXPORT double adafuse_peak(const char* precision);

// A recorder as of base/recorder.h, with room for so many records; null for a negative number or
// without memory.  Whoever creates it frees it.
ADAFUSE_EXPORT void* adafuse_recorder_create(long long capacity);
ADAFUSE_EXPORT void adafuse_recorder_free(void* recorder);

// Forgets what it has and records all operators' runs from now on: 0; or -1 where another recorder
// of this process is running.
ADAFUSE_EXPORT int adafuse_recorder_start(void* recorder);
// Returns when the runs under way have ended.  What follows is for a recorder that is stopped.
ADAFUSE_EXPORT void adafuse_recorder_stop(void* recorder);

// Records of 32 bytes, how many there are, and how many more there was no room for.
ADAFUSE_EXPORT const void* adafuse_recorder_records(void* recorder);
ADAFUSE_EXPORT long long adafuse_recorder_count(void* recorder);
ADAFUSE_EXPORT long long adafuse_recorder_lost(void* recorder);
// The name of the node with a number in the records; null where there is none.
ADAFUSE_EXPORT const char* adafuse_recorder_node(void* recorder, long long number);
}
