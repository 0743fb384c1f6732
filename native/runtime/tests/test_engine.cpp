// Threads, resets and batches of one engine; run by tests/native/test_runtime.py with a stream
// graph, or with any graph and the names that engines should have.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "adafuse/engine.hpp"

using adafuse::Engine;
using adafuse::Prediction;
using adafuse::Stream;
using adafuse::StreamOptions;
using adafuse::Tensor;

namespace {

// The command line: a graph and, for one of the tests, the names of its engines.
std::string graph, with_library, without_library;
adafuse::EngineOptions options;

Tensor<float> frames(const Engine& engine, std::int64_t streams, int seed) {
  adafuse::Shape shape = engine.metadata().frame_shape();
  shape.insert(shape.begin(), streams);
  Tensor<float> result(shape);
  unsigned state = static_cast<unsigned>(seed) * 7919u + 1u;
  for (float& value : result.values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
  return result;
}

bool equal(const Prediction& a, const Prediction& b) {
  bool same = a.macs == b.macs && a.frame_logits.values == b.frame_logits.values;
  for (std::size_t i = 0; i < a.logits.values.size(); ++i) {
    // A window adds its frames in the order of its slots, which depends on where it began.
    same = same && std::abs(a.logits.values[i] - b.logits.values[i]) < 1e-5f;
  }
  for (std::size_t gate = 0; gate < a.policies.size(); ++gate) {
    same = same && a.policies[gate].values == b.policies[gate].values;
  }
  return same;
}

std::vector<Prediction> play(const Engine& engine, Stream& stream, int seed) {
  std::vector<Prediction> steps;
  for (int t = 0; t < 5; ++t) {
    steps.push_back(stream.push(frames(engine, 1, seed + t)));
  }
  return steps;
}

void check_equal(const std::vector<Prediction>& a, const std::vector<Prediction>& b) {
  CHECK(a.size() == b.size());
  for (std::size_t t = 0; t < a.size(); ++t) {
    CHECK(equal(a[t], b[t]));
  }
}

}  // namespace

TEST_CASE("threads share an engine" * doctest::test_suite("streams")) {
  const Engine engine(graph, ::options);
  std::vector<std::vector<Prediction>> alone, together(4);
  for (int i = 0; i < 4; ++i) {
    Stream stream = engine.stream();
    alone.push_back(play(engine, stream, 100 * i));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Stream stream = engine.stream();
      together[static_cast<std::size_t>(i)] = play(engine, stream, 100 * i);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (std::size_t i = 0; i < 4; ++i) {
    check_equal(alone[i], together[i]);
  }
  CHECK(!equal(alone[0][1], alone[1][1]));
}

TEST_CASE("a reset begins anew" * doctest::test_suite("streams")) {
  const Engine engine(graph);
  for (const char* consensus : {"mean", "window", "ema", "last"}) {
    StreamOptions options;
    options.consensus = consensus;
    Stream stream = engine.stream(options);
    const auto first = play(engine, stream, 0);
    CHECK(!equal(first[0], stream.push(frames(engine, 1, 0))));  // which has a past
    stream.reset();
    check_equal(first, play(engine, stream, 0));
  }
}

TEST_CASE("one of two streams begins anew" * doctest::test_suite("streams")) {
  const Engine engine(graph);
  StreamOptions options;
  options.streams = 2;
  Stream stream = engine.stream(options);
  const Tensor<float> both = frames(engine, 2, 1);
  const Prediction first = stream.push(both);
  stream.push(frames(engine, 2, 2));
  stream.reset(1);
  const Prediction again = stream.push(both);
  CHECK(first.macs[1] == again.macs[1]);
  const std::size_t width = first.frame_logits.values.size() / 2;
  for (std::size_t i = 0; i < 2 * width; ++i) {
    const bool same = first.frame_logits.values[i] == again.frame_logits.values[i];
    CHECK((same || i < width));  // the other stream goes on
  }
  CHECK(first.frame_logits.values != again.frame_logits.values);
}

TEST_CASE("wrong options are refused" * doctest::test_suite("streams")) {
  const Engine engine(graph);
  StreamOptions options;
  options.consensus = "best";
  CHECK_THROWS_WITH_AS(engine.stream(options),
                       "The consensus is one of mean, window, ema, last, not 'best'.",
                       adafuse::InputError);
  options.consensus = "ema";
  options.decay = 1.5;
  CHECK_THROWS_WITH_AS(engine.stream(options),
                       "The decay of a moving average lies between 0 and 1, not at 1.5.",
                       adafuse::InputError);
  Stream stream = engine.stream();
  CHECK_THROWS_WITH_AS(stream.reset(1), "There is no stream 1; there are 1, from 0 on.",
                       adafuse::InputError);
  CHECK_THROWS_WITH_AS(stream.push(Tensor<float>({3, 8, 8})),
                       "The next frame of 1 streams must have shape (1, 3, 32, 32), not (3, 8, 8).",
                       adafuse::InputError);
}

TEST_CASE("a stream outlives its engine" * doctest::test_suite("streams")) {
  const Engine engine(graph);
  Stream stream = Engine(graph).stream(), fresh = engine.stream();
  check_equal(play(engine, stream, 0), play(engine, fresh, 0));
  CHECK(stream.state_bytes() > 0);
}

// The stream goes on as if such a frame had not come.
TEST_CASE("frames that are not finite are refused" * doctest::test_suite("streams")) {
  const Engine engine(graph);
  Stream stream = engine.stream(), plain = engine.stream();
  for (const float bad : {std::nanf(""), -HUGE_VALF}) {
    Tensor<float> frame = frames(engine, 1, 3);
    frame.values.back() = bad;
    CHECK_THROWS_WITH_AS(stream.push(frame), doctest::Contains("Input 0 of the batch has NaN"),
                         adafuse::InputError);
  }
  check_equal(play(engine, stream, 0), play(engine, plain, 0));
}

// The names that Python gives the engine with the operator library and without.
TEST_CASE("names" * doctest::test_suite("names")) {
  CHECK(Engine(graph).name() == with_library);
  adafuse::EngineOptions options;
  options.use_operator_library = false;
  CHECK(Engine(graph, options).name() == without_library);
}

// test_runtime_engine GRAPH [WITH WITHOUT] [--threads=N] [doctest's options]
int main(int argc, char** argv) {
  doctest::Context context;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.find("--threads=") == 0) {
      options.threads = std::stoi(word.substr(10));
    } else if (word.find("--") != 0) {
      words.push_back(word);
    }
  }
  if (words.empty()) {
    return 2;
  }
  graph = words[0];
  context.setOption("test-suite", words.size() == 3 ? "names" : "streams");
  if (words.size() == 3) {
    with_library = words[1];
    without_library = words[2];
  }
  context.applyCommandLine(argc, argv);
  return context.run();
}
