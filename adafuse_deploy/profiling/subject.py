"""What is profiled: an engine, what it is given in turn, and what that asks of every layer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.cost import MacsCounter
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.prediction import Prediction

if TYPE_CHECKING:
    from adafuse_deploy.engines.engine import Engine


@dataclass(frozen=True)
class Turn:
    """One run: when it began and ended, in nanoseconds of the monotonic clock, and its answer."""

    begin: int
    end: int
    answer: Prediction


class Subject:
    """A clip again and again, or a stream of its frames from the beginning again and again.

    Args:
        engine: what runs.
        clip: float32 (T, 3, H, W).
    """

    def __init__(self, engine: Engine, clip: np.ndarray) -> None:
        self._engine = engine
        if engine.metadata.mode == "stream":
            self._stream = engine.stream(1)
            self._inputs = [np.ascontiguousarray(frame) for frame in clip[:, None]]
        else:
            self._inputs = [np.ascontiguousarray(clip[None])]

    def __len__(self) -> int:
        """Return how many runs a round has."""
        return len(self._inputs)

    def round(self) -> Iterator[Turn]:
        """Run everything once."""
        streams = self._engine.metadata.mode == "stream"
        if streams:
            self._stream.reset()
        run = self._stream.push if streams else self._engine.run
        for given in self._inputs:
            begin = time.perf_counter_ns()
            answer = run(given)
            yield Turn(begin, time.perf_counter_ns(), answer)


Steps = Sequence[Sequence[np.ndarray]]
"""Of each run of a round the policies per gate: (1, T, C) of a clip, (1, 1, C) of a frame."""


def forced_steps(metadata: GraphMetadata, policies: Sequence[np.ndarray]) -> Steps:
    """Return the policies of a round's runs, of a graph that obeys these, per gate (1, T, C)."""
    if metadata.mode == "clip":
        return [policies]
    frames = range(metadata.config.num_segments)
    return [[policy[:, frame : frame + 1] for policy in policies] for frame in frames]


def layers_macs(metadata: GraphMetadata, steps: Steps) -> dict[str, float]:
    """Return what the decisions of a round ask of every layer in a run, on average.

    Args:
        metadata: of the graph.
        steps: the policies of each run.

    Returns:
        Name in the cost table -> multiply-accumulates.
    """
    counter = MacsCounter(metadata.layers)
    if metadata.mode == "clip":
        asked = [counter.per_layer(policies, metadata.config.num_segments)[0] for policies in steps]
    else:
        before: Sequence[np.ndarray] = [np.zeros_like(policy) for policy in steps[0]]
        asked = []
        for policies in steps:
            asked.append(counter.next_frames_per_layer(policies, before)[0])
            before = policies
    means = np.mean(asked, 0)
    return {layer.name: float(macs) for layer, macs in zip(metadata.layers, means, strict=True)}
