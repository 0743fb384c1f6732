"""One graph under a profile: its runs, those that are recorded and those that nobody watches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from adafuse_deploy.core.errors import CheckFailed
from adafuse_deploy.core.json_text import parse_json
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.onnxruntime_engine import OnnxRuntimeEngine
from adafuse_deploy.ops.recorder import RECORD, Recorder, Recording
from adafuse_deploy.profiling.phases import NodeTime, node_times
from adafuse_deploy.profiling.runtime_events import RunEvents, runs_of
from adafuse_deploy.profiling.subject import Subject, Turn
from adafuse_deploy.profiling.trace import TracedRun

_EMPTY = Recording(np.empty(0, RECORD), [], 0)
_WARM_UP = 2  # rounds

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """A run, and what our operators recorded of it, by node.

    Attributes:
        ms: milliseconds.
        nodes: nothing of a run that was not recorded.
    """

    ms: float
    nodes: Mapping[str, NodeTime]


@dataclass(frozen=True)
class Measured:
    """All that was measured; a list per run of a round.

    Attributes:
        plain, recorded: samples of the runs.
        events: of the runs that ONNX Runtime's profiler watched.
        traced: a round that both watched.
    """

    plain: list[list[Sample]]
    recorded: list[list[Sample]]
    events: list[list[RunEvents]]
    traced: list[TracedRun]


class Session:
    """Two engines of a graph: one for our own recorder, one that ONNX Runtime's profiler watches.

    That profiler costs time in every node, and cannot be switched off.

    Args:
        graph: the file.
        clip: float32 (T, 3, H, W), what it looks at.
        folder: for ONNX Runtime's files.
        threads, operator_library: as for :class:`OnnxRuntimeEngine`.
        operators: node -> operator.

    Attributes:
        name: of the engine.
        kinds: of rounds: "plain", "recorded" by our operators if it has some, and "watched".
        answers: of a round, which are always the same.
    """

    def __init__(
        self,
        graph: Path,
        clip: np.ndarray,
        folder: Path,
        *,
        threads: int,
        operator_library: bool | str | os.PathLike[str],
        operators: Mapping[str, str],
    ) -> None:
        self._stack = ExitStack()
        self._threads, self._operators = threads, operators

        def load(**more: Any) -> OnnxRuntimeEngine:
            engine = OnnxRuntimeEngine(
                graph, operator_library=operator_library, threads=threads, **more
            )
            self._stack.callback(engine.close)
            return engine

        try:
            plain = load()
            self._watched = load(node_events=folder / graph.stem)
            self._recorder = None
            if operator_library is not False and plain.metadata.operators:
                library = None if operator_library is True else operator_library
                self._recorder = self._stack.enter_context(Recorder(library))
        except BaseException:
            self._stack.close()
            raise
        self.name = plain.name
        self.kinds = ["plain", "recorded", "watched"]
        if self._recorder is None:
            self.kinds.remove("recorded")
        self._subjects = {"plain": Subject(plain, clip), "watched": Subject(self._watched, clip)}
        self._subjects["recorded"] = self._subjects["plain"]
        self._places = len(self._subjects["plain"])
        self._samples: dict[str, list[list[Sample]]] = {
            kind: [[] for _ in range(self._places)] for kind in self.kinds
        }
        self.answers: list[Prediction] = []
        for _ in range(_WARM_UP):
            for kind in ("plain", "watched"):
                self.answers = [turn.answer for turn in self._subjects[kind].round()]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def round(self, kind: str) -> None:
        """Run a round of that kind."""
        for place, (turn, recording) in enumerate(self._turns(kind, recorded=kind == "recorded")):
            times = node_times(recording, self._threads, self._operators)
            sample = Sample((turn.end - turn.begin) / 1e6, {time.name: time for time in times})
            self._samples[kind][place].append(sample)

    def measured(self) -> Measured:
        """End the measurement and return it."""
        traced = list(self._turns("watched", recorded=True))
        events = runs_of(parse_json(self._watched.end_node_events().read_text()))
        counted = events[_WARM_UP * self._places : -self._places]
        return Measured(
            self._samples["plain"],
            self._samples["watched" if self._recorder is None else "recorded"],
            [counted[place :: self._places] for place in range(self._places)],
            [
                TracedRun(turn.begin, turn.end, run, recording)
                for (turn, recording), run in zip(traced, events[-self._places :], strict=True)
            ],
        )

    def _turns(self, kind: str, recorded: bool) -> Iterator[tuple[Turn, Recording]]:
        turns = self._subjects[kind].round()
        if not recorded or self._recorder is None:
            yield from ((turn, _EMPTY) for turn in turns)
            return
        for _ in range(self._places):
            with self._recorder.running():
                turn = next(turns)
            recording = self._recorder.read()
            if recording.lost:
                raise CheckFailed(
                    f"A run of this graph makes {recording.lost} records more than there is room "
                    "for; profile it with fewer pixels or frames."
                )
            yield turn, recording


def quietest(samples: Sequence[Item], ms: Callable[[Item], float]) -> list[Item]:
    """Return the quarter of the samples that other programs disturbed least."""
    return sorted(samples, key=ms)[: -(-len(samples) // 4)]


def mean_ms(places: Sequence[Sequence[Sample]]) -> float:
    """Return the mean time of a run, over the quietest samples of each place in a round."""
    means = [
        np.mean([sample.ms for sample in quietest(samples, lambda sample: sample.ms)])
        for samples in places
    ]
    return float(np.mean(means))
