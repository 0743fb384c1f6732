#include "ort/c_abi.h"

#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>

#include "base/recorder.h"
#include "base/sizes.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "microkernels/igemm_nhwc/peak.h"

namespace {

using namespace adafuse;

std::optional<Precision> precision_of(const char* name) {
  for (const Precision precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kInt8}) {
    if (name != nullptr && std::strcmp(name, to_string(precision)) == 0) {
      return precision;
    }
  }
  return std::nullopt;
}

long long units(long long channels, const char* name,
                std::size_t (*pitch)(std::size_t channels, Precision precision)) {
  const std::optional<Precision> precision = precision_of(name);
  if (!precision || channels < 1 || channels > static_cast<long long>(kMostSize)) {
    return -1;
  }
  return static_cast<long long>(pitch(static_cast<std::size_t>(channels), *precision) /
                                kGroupBytes);
}

Recorder& as_recorder(void* recorder) {
  return *static_cast<Recorder*>(recorder);
}

}  // namespace

int adafuse_abi_version() {
  return 1;
}

int adafuse_layout_version() {
  return kLayoutVersion;
}

long long adafuse_frame_units(long long channels, const char* precision) {
  return units(channels, precision, channel_pitch);
}

long long adafuse_history_units(long long channels, const char* precision) {
  return units(channels, precision, history_pitch);
}

int adafuse_weight_panel() {
  return static_cast<int>(kStoredPanel);
}

double adafuse_peak(const char* name) {
  const std::optional<Precision> precision = precision_of(name);
  return precision ? peak_gmacs(*igemm_kernels(*precision).front()) : -1;
}

void* adafuse_recorder_create(long long capacity) {
  if (capacity < 0) {
    return nullptr;
  }
  try {
    return new Recorder(static_cast<std::size_t>(capacity));
  } catch (const std::bad_alloc&) {
    return nullptr;
  } catch (const std::length_error&) {  // more than a vector can ever hold
    return nullptr;
  }
}

void adafuse_recorder_free(void* recorder) {
  delete static_cast<Recorder*>(recorder);
}

int adafuse_recorder_start(void* recorder) {
  return as_recorder(recorder).start() ? 0 : -1;
}

void adafuse_recorder_stop(void* recorder) {
  as_recorder(recorder).stop();
}

const void* adafuse_recorder_records(void* recorder) {
  return as_recorder(recorder).records();
}

long long adafuse_recorder_count(void* recorder) {
  return static_cast<long long>(as_recorder(recorder).count());
}

long long adafuse_recorder_lost(void* recorder) {
  return static_cast<long long>(as_recorder(recorder).lost());
}

const char* adafuse_recorder_node(void* recorder, long long number) {
  const auto& names = as_recorder(recorder).names();
  const bool known = number >= 0 && number < static_cast<long long>(names.size());
  return known ? names[static_cast<std::size_t>(number)].c_str() : nullptr;
}
