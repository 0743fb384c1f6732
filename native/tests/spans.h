// Checks that hold for every recording.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>

#include "base/recorder.h"

namespace adafuse {

// Every span but a node's lies inside one of the next outer kind in the same run: on its own
// thread, but for tasks, which any thread runs.
inline void check_nesting(const Recorder& recorder) {
  const auto outer = [](Span span) {
    return span == Span::kSection ? Span::kNode
           : span == Span::kTask  ? Span::kSection
                                  : Span::kTask;
  };
  for (std::size_t i = 0; i < recorder.count(); ++i) {
    const Record& inner = recorder.records()[i];
    CHECK(inner.begin <= inner.end);
    CHECK(inner.node < recorder.names().size());
    bool found = inner.span == Span::kNode;
    for (std::size_t j = 0; j < recorder.count() && !found; ++j) {
      const Record& other = recorder.records()[j];
      found = other.span == outer(inner.span) && other.run == inner.run &&
              other.begin <= inner.begin && inner.end <= other.end &&
              (inner.span == Span::kTask || other.thread == inner.thread);
    }
    CHECK(found);
  }
}

}  // namespace adafuse
