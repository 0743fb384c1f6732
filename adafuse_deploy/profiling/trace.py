"""Runs on a time line, in the Trace Event Format that Perfetto and Chrome open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.ops.recorder import NODE, PHASES, SECTION, TASK, Recording
from adafuse_deploy.profiling.runtime_events import RunEvents

_PROCESS, _RUNS, _NODES, _FIRST_THREAD = 1, 1, 2, 3


@dataclass(frozen=True)
class TracedRun:
    """A run that was recorded by both.

    Attributes:
        begin, end: nanoseconds of the recorder's clock.
        events: of ONNX Runtime's profiler.
        recording: of our operators.
    """

    begin: int
    end: int
    events: RunEvents
    recording: Recording


def write_trace(target: str | os.PathLike[str], runs: Sequence[TracedRun], title: str) -> None:
    """Write the runs to a ``.json`` file: https://ui.perfetto.dev opens it.

    One track has the runs, one the graph's nodes by ONNX Runtime's profiler, and each thread of our
    operators has one with nodes, sections, tasks and phases inside each other.

    Args:
        target: the file.
        runs: in the order of time.
        title: what was run.
    """
    write_text(target, json_text(trace(runs, title)) + "\n")


def trace(runs: Sequence[TracedRun], title: str) -> dict[str, Any]:
    """Return the content of the file; times are microseconds since the first run began."""
    threads: dict[int, int] = {}
    origin = runs[0].begin
    events = [event for run in runs for event in _run_events(run, origin, threads)]
    tracks = {_RUNS: "runs", _NODES: "nodes (ONNX Runtime)"}
    tracks |= {track: f"thread {number}" for number, track in enumerate(threads.values(), 1)}
    names = [_name("process_name", 0, title)]
    names += [_name("thread_name", track, name) for track, name in tracks.items()]
    return {"traceEvents": names + events, "displayTimeUnit": "ms"}


def _run_events(run: TracedRun, origin: int, threads: dict[int, int]) -> Iterator[dict[str, Any]]:
    yield _span("run", "run", run.begin, run.end, origin, _RUNS)
    records, names = run.recording.records, run.recording.names
    nodes = [node for node in run.events.nodes]
    shift = _shift(run)
    for node in nodes:
        begin = round(1e3 * node.begin + shift)
        end = begin + round(1e3 * node.duration)
        yield _span(node.name, node.operator, begin, end, origin, _NODES)
    kinds = {NODE: "node", SECTION: "section", TASK: "task", **PHASES}
    # Of spans that begin together the outer one comes first, so that viewers put it outside.
    for record in np.sort(records, order=["begin", "span"]) if len(records) else ():
        track = threads.setdefault(int(record["thread"]), _FIRST_THREAD + len(threads))
        kind = kinds[int(record["span"])]
        name = names[record["node"]] if kind == "node" else kind
        yield _span(name, kind, int(record["begin"]), int(record["end"]), origin, track)


def _shift(run: TracedRun) -> float:
    """Return the nanoseconds from ONNX Runtime's clock to the recorder's."""
    records = run.recording.records
    if len(records):
        ours = {
            run.recording.names[r["node"]]: int(r["begin"])
            for r in records[records["span"] == NODE]
        }
        shifts = [
            ours[node.name] - 1e3 * node.begin for node in run.events.nodes if node.name in ours
        ]
        if shifts:
            return float(np.median(shifts))
    # Without operators of ours: the run began when it was called.
    return run.begin - 1e3 * (run.events.nodes[0].begin if run.events.nodes else 0.0)


def _span(name: str, kind: str, begin: int, end: int, origin: int, track: int) -> dict[str, Any]:
    return {
        "name": name,
        "cat": kind,
        "ph": "X",
        "ts": (begin - origin) / 1e3,
        "dur": (end - begin) / 1e3,
        "pid": _PROCESS,
        "tid": track,
    }


def _name(kind: str, track: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": track, "args": {"name": name}}
