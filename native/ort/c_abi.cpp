#include "ort/c_abi.h"

#include <cstring>
#include <optional>

#include "base/sizes.h"
#include "layout/nhwc_layout.h"
#include "microkernels/igemm_nhwc/packed_b.h"

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
