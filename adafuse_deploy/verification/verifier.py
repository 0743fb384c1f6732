"""Run engines beside the network as trained, or beside its portable graph, and judge them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.reference import Reference
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import dense_macs
from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.core.packages import need
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.listed_clips import LabelledClip
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.graph.read import read_metadata
from adafuse_deploy.verification.judgement import (
    NOT_FINITE,
    Batch,
    FailedClip,
    failed_clips,
    missed,
)
from adafuse_deploy.verification.latency import interleave
from adafuse_deploy.verification.report import DEFAULT_THRESHOLDS, Report, Result, Thresholds

if TYPE_CHECKING:
    from adafuse_deploy.models.recognizer import VideoRecognizer

Watch = Callable[[np.ndarray, "np.ndarray | None", Prediction], None]
"""Is shown every batch (B, T, 3, H, W), its labels, and what the reference predicted."""

TIMED_BATCHES = 8
"""How many batches the latency is measured on, in turn: the cost depends on the policies."""


def check_batch(clips: int, batch: int) -> None:
    """Raise :class:`InputError` if there are fewer clips than a batch has."""
    if clips < batch:
        raise InputError(
            f"There are {clips} clips, fewer than a batch of {batch}; give more clips or a smaller "
            "--batch."
        )


def verify(
    model: VideoRecognizer | str | os.PathLike[str],
    engines: Mapping[str, Engine],
    clips: Sequence[LabelledClip],
    *,
    thresholds: Mapping[str, float | None] | None = None,
    batch: int = 1,
    rounds: int = 20,
    threads: int | None = None,
    description: str = "",
    progress: bool = False,
    on_failure: Callable[[FailedClip], None] | None = None,
    watch: Watch | None = None,
) -> Report:
    """Compare engines with ``model`` on clips, and time them.

    PyTorch is needed for a network, not for a graph.

    Args:
        model: the network as trained, whose decisions are the argmax, as in deployment; or a
            portable graph, which then runs on its function bodies in plain ONNX Runtime.
        engines: name -> engine, all of the same network.
        clips: what to run; read one batch at a time.
        thresholds: fields of :class:`Thresholds` to set; those missing or None are
            :data:`DEFAULT_THRESHOLDS` for the engine's precision.
        batch: clips per call.
        rounds: calls that the latencies are measured on.
        threads: for the report, what the engines were opened with.
        description: of the clips, for the report.
        progress: show how far it is on standard error.
        on_failure: is told of every clip that misses an engine's thresholds by itself, which with
            thresholds below 100 % does not fail the engine.
        watch: is shown what the reference decides.

    Raises:
        InputError: there are no engines or no clips, an engine is of another network, or the graph
            is no portable one.
        NotFiniteError: the network itself answers with NaN or infinity.
    """
    if not engines:
        raise InputError("There is nothing to verify: no backend of those asked for can run here.")
    check_batch(len(clips), batch)
    trained, config, source = open_reference(model)
    for name, engine in engines.items():
        check_same_network(config, name, engine)
    reference = Comparison()
    comparisons = {name: Comparison() for name in engines}
    not_finite: set[str] = set()
    timed: list[np.ndarray] = []
    bar = show_progress(
        _batches(clips, batch),
        "comparing",
        show=progress,
        total=-(-len(clips) // batch),
        unit="batches",
    )
    for frames, labels in bar:
        expected = trained.run(frames)
        first = reference.clips
        reference.add(trained, frames, expected, expected.prediction, labels)
        if watch is not None:
            watch(frames, labels, expected.prediction)
        for name, engine in engines.items():
            got = None
            try:
                got = engine.run(frames)
            except NotFiniteError:
                not_finite.add(name)
            else:
                comparisons[name].add(trained, frames, expected, got, labels)
            if on_failure is not None:
                limits = _limits(engine.metadata.precision, thresholds or {})
                answered = Batch(first, frames, labels, expected, got)
                for failed in failed_clips(answered, trained, name, engine, limits):
                    on_failure(failed)
        if len(timed) < TIMED_BATCHES and len(frames) == batch:
            timed.append(frames)
    calls = {
        name: _in_turn(engine, timed) for name, engine in engines.items() if name not in not_finite
    }
    latencies = interleave(calls, rounds=rounds, progress=progress)
    results = []
    for name, engine in engines.items():
        precision = engine.metadata.precision
        limits = _limits(precision, thresholds or {})
        seen, failures = comparisons[name], []
        if name in not_finite:
            failures.append(NOT_FINITE)
        if seen.clips:
            failures += missed(seen, reference, limits, engine.metadata.gates)
        latency = latencies.get(name)
        results.append(
            Result(name, precision, seen, latency, limits, tuple(failures), engine.skips_work)
        )
    return Report(
        description or f"{len(clips)} clips",
        batch,
        threads,
        reference,
        results,
        source=source,
        dense_gmacs=dense_macs(next(iter(engines.values())).metadata.layers, config.num_segments)
        / 1e9,
        labels=config.labels,
    )


def open_reference(
    model: VideoRecognizer | str | os.PathLike[str],
) -> tuple[Reference, ModelConfig, str]:
    """Return what to compare with, its configuration, and what it is in words."""
    if not isinstance(model, (str, os.PathLike)):
        need("torch")
        from adafuse_deploy.compare.torch_reference import TorchReference

        return TorchReference(model), model.config, "PyTorch"
    from adafuse_deploy.compare.graph_reference import GraphReference

    metadata = read_metadata(model)
    if metadata.portable_name:
        raise InputError(
            f"{os.fspath(model)} was built for ONNX Runtime; give {metadata.portable_name}, the "
            "portable graph that it was built from, first and it behind, or give --checkpoint."
        )
    return GraphReference(model), metadata.config, f"{os.fspath(model)} on its function bodies"


_LABELS = ("class_names", "frame_spacing")
"""Fields of a configuration that say something about a network and change nothing in it."""


def check_same_network(config: ModelConfig, name: str, engine: Engine) -> None:
    """Raise :class:`InputError` unless the engine's network has this configuration."""
    mine, its = asdict(config), asdict(engine.metadata.config)
    different = sorted(key for key in mine if mine[key] != its[key] and key not in _LABELS)
    if different:
        key = different[0]
        raise InputError(
            f"{name} is not the network of the checkpoint or graph it is compared with: "
            f"{', '.join(different)} differ ({key} is {its[key]} instead of {mine[key]}); give the "
            "one it was made from."
        )


def _batches(
    clips: Sequence[LabelledClip], size: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    for start in range(0, len(clips), size):
        frames, labels = zip(
            *(clips[index] for index in range(start, min(start + size, len(clips)))), strict=True
        )
        yield np.stack(frames), None if None in labels else np.array(labels)


def _in_turn(engine: Engine, batches: list[np.ndarray]) -> Callable[[], object]:
    """Return a call that runs the next batch; all engines see the batches in the same order."""
    turn = itertools.cycle(batches)
    return lambda: engine.run(next(turn))


def _limits(precision: str, thresholds: Mapping[str, float | None]) -> Thresholds:
    given = {name: value for name, value in thresholds.items() if value is not None}
    return replace(DEFAULT_THRESHOLDS[precision], **given)
