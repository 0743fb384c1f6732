// The C functions: arguments are checked, exceptions become a status and a sentence.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adafuse/adafuse.h"
#include "adafuse/engine.hpp"

struct adafuse_engine {
  adafuse::Engine engine;
  std::vector<std::string> labels;
};
struct adafuse_stream {
  adafuse::Stream stream;
  adafuse::Shape frames;  // (B, 3, S, S)
};
struct adafuse_prediction {
  adafuse::Prediction prediction;
};

namespace {

// The sentence of this thread's last failure, in static memory: reporting a lack of memory needs
// none.
thread_local char last_error[1024] = "";

void tell(const char* message) noexcept {
  std::strncpy(last_error, message, sizeof(last_error) - 1);
}

template <class Body>
adafuse_status guarded(Body body) noexcept {
  try {
    body();
    return ADAFUSE_OK;
  } catch (const adafuse::Error& error) {
    tell(error.what());
    return static_cast<adafuse_status>(error.exit_code());
  } catch (const std::bad_alloc&) {
    tell("There is not enough memory.");
  } catch (const std::exception& error) {
    tell(error.what());
  } catch (...) {
    tell("Something unknown went wrong.");
  }
  return ADAFUSE_FAILED;
}

// Throws InputError where a pointer is NULL.
template <class T>
T& given(T* pointer, const char* name) {
  if (pointer == nullptr) {
    throw adafuse::InputError(std::string("The argument ") + name + " is NULL: give one.");
  }
  return *pointer;
}

// The caller's options, as far as a caller of an older version knows them.
template <class Options>
Options known(const Options* options) {
  Options result{};
  if (options != nullptr) {
    if (options->size < sizeof(std::size_t)) {
      throw adafuse::InputError("Options must begin with their size: set size to sizeof options.");
    }
    std::memcpy(&result, options, std::min(options->size, sizeof(result)));
  }
  return result;
}

adafuse::Tensor<float> copied(const float* values, adafuse::Shape shape) {
  adafuse::Tensor<float> tensor(std::move(shape));
  std::copy_n(values, tensor.values.size(), tensor.values.begin());
  return tensor;
}

adafuse_prediction* handed_over(adafuse::Prediction prediction) {
  return new adafuse_prediction{std::move(prediction)};
}

}  // namespace

int adafuse_c_version() {
  return ADAFUSE_C_VERSION;
}
const char* adafuse_version() {
  return ADAFUSE_VERSION;
}
const char* adafuse_error() {
  return last_error;
}

adafuse_status adafuse_engine_load(const char* path, const adafuse_engine_options* options,
                                   adafuse_engine** engine) {
  return guarded([&] {
    given(engine, "engine") = nullptr;
    given(path, "path");
    const adafuse_engine_options wanted = known(options);
    adafuse::EngineOptions chosen;
    chosen.use_operator_library = wanted.plain == 0;
    chosen.operator_library = wanted.operator_library == nullptr ? "" : wanted.operator_library;
    chosen.threads = wanted.threads;
    auto result =
        std::make_unique<adafuse_engine>(adafuse_engine{adafuse::Engine(path, chosen), {}});
    const adafuse::Metadata& metadata = result->engine.metadata();
    for (std::int64_t i = 0; i < metadata.num_classes; ++i) {
      result->labels.push_back(metadata.label(static_cast<std::size_t>(i)));
    }
    *engine = result.release();
  });
}
void adafuse_engine_free(adafuse_engine* engine) {
  delete engine;
}

const char* adafuse_engine_name(const adafuse_engine* engine) {
  return engine->engine.name().c_str();
}
const char* adafuse_engine_mode(const adafuse_engine* engine) {
  return engine->engine.metadata().mode.c_str();
}
size_t adafuse_engine_classes(const adafuse_engine* engine) {
  return engine->labels.size();
}
size_t adafuse_engine_frames(const adafuse_engine* engine) {
  return static_cast<std::size_t>(engine->engine.metadata().num_segments);
}
size_t adafuse_engine_size(const adafuse_engine* engine) {
  return static_cast<std::size_t>(engine->engine.metadata().preprocessing.crop);
}
double adafuse_engine_frame_spacing(const adafuse_engine* engine) {
  return engine->engine.metadata().frame_spacing.value_or(adafuse::FrameSpacing{}).median;
}
size_t adafuse_engine_gates(const adafuse_engine* engine) {
  return engine->engine.metadata().gates.size();
}
const char* adafuse_engine_label(const adafuse_engine* engine, size_t index) {
  return index < engine->labels.size() ? engine->labels[index].c_str() : nullptr;
}
const char* adafuse_engine_gate(const adafuse_engine* engine, size_t index) {
  const std::vector<std::string>& gates = engine->engine.metadata().gates;
  return index < gates.size() ? gates[index].c_str() : nullptr;
}

adafuse_status adafuse_center_indices(int64_t frames, int64_t segments, int64_t* indices) {
  return guarded([&] {
    given(indices, "indices");
    const std::vector<std::int64_t> result = adafuse::center_indices(frames, segments);
    std::copy(result.begin(), result.end(), indices);
  });
}

adafuse_status adafuse_preprocess(const adafuse_engine* engine, const uint8_t* pixels, int height,
                                  int width, float* input) {
  return guarded([&] {
    given(pixels, "pixels");
    given(input, "input");
    const adafuse::Tensor<float> result = adafuse::preprocess(
        {pixels, height, width}, given(engine, "engine").engine.metadata().preprocessing);
    std::copy(result.values.begin(), result.values.end(), input);
  });
}

adafuse_status adafuse_run(const adafuse_engine* engine, const float* clips, size_t count,
                           adafuse_prediction** prediction) {
  return guarded([&] {
    given(prediction, "prediction") = nullptr;
    given(clips, "clips");
    const adafuse::Engine& used = given(engine, "engine").engine;
    adafuse::Shape shape = used.metadata().clip_shape();
    shape.insert(shape.begin(), static_cast<std::int64_t>(count));
    *prediction = handed_over(used.run(copied(clips, shape)));
  });
}

adafuse_status adafuse_stream_open(const adafuse_engine* engine,
                                   const adafuse_stream_options* options, adafuse_stream** stream) {
  return guarded([&] {
    given(stream, "stream") = nullptr;
    const adafuse::Engine& used = given(engine, "engine").engine;
    const adafuse_stream_options wanted = known(options);
    adafuse::StreamOptions chosen;
    chosen.streams = wanted.streams == 0 ? chosen.streams : wanted.streams;
    chosen.consensus = wanted.consensus == nullptr ? "" : wanted.consensus;
    chosen.window = wanted.window == 0 ? chosen.window : wanted.window;
    chosen.decay = wanted.decay == 0 ? chosen.decay : wanted.decay;
    adafuse::Shape shape = used.metadata().frame_shape();
    shape.insert(shape.begin(), static_cast<std::int64_t>(chosen.streams));
    *stream = new adafuse_stream{used.stream(chosen), shape};
  });
}
void adafuse_stream_free(adafuse_stream* stream) {
  delete stream;
}

adafuse_status adafuse_stream_push(adafuse_stream* stream, const float* frames,
                                   adafuse_prediction** prediction) {
  return guarded([&] {
    given(prediction, "prediction") = nullptr;
    given(frames, "frames");
    adafuse_stream& used = given(stream, "stream");
    *prediction = handed_over(used.stream.push(copied(frames, used.frames)));
  });
}
adafuse_status adafuse_stream_reset(adafuse_stream* stream, size_t index) {
  return guarded([&] {
    given(stream, "stream")
        .stream.reset(index == ADAFUSE_ALL_STREAMS ? std::nullopt
                                                   : std::optional<std::size_t>(index));
  });
}

void adafuse_prediction_free(adafuse_prediction* prediction) {
  delete prediction;
}
size_t adafuse_prediction_count(const adafuse_prediction* prediction) {
  return static_cast<std::size_t>(prediction->prediction.logits.shape[0]);
}
size_t adafuse_prediction_frames(const adafuse_prediction* prediction) {
  return static_cast<std::size_t>(prediction->prediction.frame_logits.shape[1]);
}
const float* adafuse_prediction_logits(const adafuse_prediction* prediction) {
  return prediction->prediction.logits.values.data();
}
const float* adafuse_prediction_frame_logits(const adafuse_prediction* prediction) {
  return prediction->prediction.frame_logits.values.data();
}
const int64_t* adafuse_prediction_macs(const adafuse_prediction* prediction) {
  return prediction->prediction.macs.data();
}
const uint8_t* adafuse_prediction_policy(const adafuse_prediction* prediction, size_t index,
                                         size_t* channels) {
  const auto& policies = prediction->prediction.policies;
  if (index >= policies.size()) {
    return nullptr;
  }
  if (channels != nullptr) {
    *channels = static_cast<std::size_t>(policies[index].shape[2]);
  }
  return policies[index].values.data();
}
adafuse_status adafuse_prediction_probabilities(const adafuse_prediction* prediction, size_t index,
                                                float* probabilities) {
  return guarded([&] {
    given(probabilities, "probabilities");
    const adafuse::Prediction& used = given(prediction, "prediction").prediction;
    if (index >= static_cast<std::size_t>(used.logits.shape[0])) {
      throw adafuse::InputError("The prediction has no clip " + std::to_string(index) + ".");
    }
    const std::vector<float> result = used.probabilities(index);
    std::copy(result.begin(), result.end(), probabilities);
  });
}
