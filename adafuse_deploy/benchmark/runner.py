"""The benchmark: our engine under a policy mix against dense peers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adafuse_deploy import __version__
from adafuse_deploy.benchmark.contender import Contender, Job
from adafuse_deploy.benchmark.graphs import fix_batch, force_policies
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import draw_policies
from adafuse_deploy.benchmark.peers import (
    ISA_FLAGS,
    ISA_LIMITS,
    PEERS,
    check_peers,
    choose_peers,
    engine_precision,
)
from adafuse_deploy.benchmark.report import Costs, compare_times
from adafuse_deploy.benchmark.rounds import time_in_turn
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import dense_macs
from adafuse_deploy.core.decisions import DecisionCounts
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.backends import find_backend
from adafuse_deploy.engines.onnxruntime_engine import clips_at_once
from adafuse_deploy.graph.read import read_metadata

if TYPE_CHECKING:
    from adafuse_deploy.core.prediction import Prediction
    from adafuse_deploy.data.lists import ListReading

Watch = Callable[[np.ndarray, "Prediction", str], None]
"""Is shown a clip (T, 3, H, W), what was predicted, and the video's name."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """How to time.

    Attributes:
        mix: shares of skip, reuse and keep.
        precision: of ours and of the peers, of :data:`~adafuse_deploy.benchmark.peers.PRECISIONS`.
        isa: limit of the instruction set, of
            :data:`~adafuse_deploy.benchmark.peers.ISA_LIMITS`, or None.
        peers: dense runtimes to compare with, of :data:`~adafuse_deploy.benchmark.peers.PEERS`.
        threads: of every engine.
        clips: at a time.
        rounds: undisturbed samples wanted of each engine.
        warmup: runs of each before those.
        max_seconds: of timing.
        max_disturbance: processors that other programs may keep busy during a run.
    """

    mix: tuple[float, float, float]
    precision: str = "fp32"
    isa: str | None = None
    peers: tuple[str, ...] = tuple(PEERS)
    threads: int = 1
    clips: int = 1
    rounds: int = 20
    warmup: int = 3
    max_seconds: float = 300.0
    max_disturbance: float = 0.1

    def __post_init__(self) -> None:
        check_peers(self.peers)


@dataclass(frozen=True)
class RealPolicies:
    """A trained network that decides for itself, and the clips it decides on.

    Attributes:
        graph: portable, or built for ONNX Runtime.
        listed: file that lists the videos.
        reading: how to read it.
        count: how many clips, evenly spaced.
    """

    graph: Path
    listed: Path
    reading: ListReading | None = None
    count: int = 16


def run_benchmark(
    network: ModelConfig | RealPolicies,
    options: BenchmarkOptions,
    *,
    progress: bool = False,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Time the adaptive network on our kernels and the dense network of its backbone on peers.

    Of a bare configuration weights are random and policies are drawn, so only speed is measured;
    a trained network takes its own decisions on real clips, in turn.  The whole deployed graph is
    timed: stem, layout conversion, policy networks and head included.

    Args:
        network: a gated network's configuration, or a trained one.
        options: what to compare and how.
        progress: show how far it is on standard error.
        watch: is shown every clip of a trained network.

    Returns:
        The report, plain values for JSON; times in ms, memory in MB, multiply-accumulates per clip,
        and the shares of the actions.

    Raises:
        InputError: the network has no gates.
        MissingDependencyError: a peer's runtime or the operator library is missing.
        CheckFailed: an engine has no undisturbed sample.
    """
    config = network if isinstance(network, ModelConfig) else read_metadata(network.graph).config
    if not config.gated:
        raise InputError("Only networks with gates can skip work; choose an adafuse_... network.")
    sets = describe_machine()["instruction_sets"]
    if options.isa and not ISA_FLAGS[options.isa] <= set(sets):
        raise InputError(f"This processor has no {options.isa}, so there is nothing to limit to.")
    present, missing = choose_peers(options.peers, options.precision, options.isa, sets)
    for peer in present:
        find_backend(peer).load()
    with tempfile.TemporaryDirectory(prefix="adafuse-bench-") as folder, ExitStack() as stack:
        jobs, costs, decisions = _prepare(
            network, config, present, sets, options, Path(folder), watch
        )
        contenders = [stack.enter_context(Contender(job)) for job in jobs]
        times = time_in_turn(
            contenders,
            rounds=options.rounds,
            warmup=options.warmup,
            max_seconds=options.max_seconds,
            max_disturbance=options.max_disturbance,
            progress=progress,
        )
        resources = [
            {"load_ms": contender.load_ms, "peak_rss_mb": contender.peak_rss_mb()}
            for contender in contenders
        ]
        fused = bool(read_metadata(jobs[0].path).portable_name)
    entries = [
        {"name": job.name, "precision": options.precision, **used}
        for job, used in zip(jobs, resources, strict=True)
    ]
    report = {**compare_times(entries, times, costs), **_circumstances(options, present)}
    report |= decisions.to_dict()
    report["ours"]["fused"] = fused
    report["missing"] = missing
    if isinstance(network, RealPolicies):
        report["model"] = network.graph.name
        del report["policy_mix"]
    return report


def _prepare(
    network: ModelConfig | RealPolicies,
    config: ModelConfig,
    peers: Sequence[str],
    instruction_sets: list[str],
    options: BenchmarkOptions,
    folder: Path,
    watch: Watch | None,
) -> tuple[list[Job], Costs, DecisionCounts]:
    """Write what every contender runs, ours first."""
    import torch

    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.checkpoint import save_checkpoint
    from adafuse_deploy.models.recognizer import VideoRecognizer
    from adafuse_deploy.models.registry import dense_peer

    torch.manual_seed(0)
    ours, inputs = folder / "ours.onnx", None
    if isinstance(network, RealPolicies):
        inputs = folder / "clips.npy"
        decisions = _real(network, options, ours, inputs, watch)
    else:
        decisions = draw_network(network, options, ours)
    dense_model = VideoRecognizer(dense_peer(config)).eval()
    dense = export(dense_model, folder / "dense.onnx")
    if options.precision == "int8":
        _quantize(folder / "dense.onnx")
    save_checkpoint(dense_model, folder / "dense.pt")
    fix_batch(ours, _in_turn(ours, options))
    fix_batch(folder / "dense.onnx", options.clips)
    common: dict[str, Any] = {
        "threads": options.threads,
        "clips": options.clips,
        "environment": ISA_LIMITS[options.isa] if options.isa else {},
        "inputs": inputs,
    }
    jobs = [Job("ours", ours, "onnxruntime", **common)]
    for name in peers:
        precision = engine_precision(name, options.precision, instruction_sets)
        path = folder / f"dense{PEERS[name].suffix}"
        jobs.append(Job(name, path, name, precision=precision, **common))
    costs = Costs(dense_macs(dense.layers, config.num_segments), decisions.macs)
    return jobs, costs, decisions


def _quantize(graph: Path) -> None:
    """Quantise a graph of random weights in place, on noise."""
    from adafuse_deploy.exporters.quantize import quantize

    shape = read_metadata(graph).input_shape
    clip = np.random.default_rng(1).standard_normal(shape, np.float32)
    float32 = graph.replace(graph.with_suffix(".fp32.onnx"))
    quantize(float32, graph, [clip])


def draw_network(config: ModelConfig, options: BenchmarkOptions, target: Path) -> DecisionCounts:
    """Write our graph of a random network that obeys drawn policies.

    Args:
        config: a gated network's.
        options: which mix, precision and number of clips.
        target: the ``.onnx`` to write; the portable graph is left beside it.

    Returns:
        Its decisions and what they cost.
    """
    from adafuse_deploy.exporters.fused_exporter import NothingToFuse, lower
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.recognizer import VideoRecognizer

    portable = target.with_name("portable.onnx")
    metadata = export(VideoRecognizer(config).eval(), portable)
    if options.precision == "int8":
        _quantize(portable)
    try:
        lower(portable, target, precision=options.precision)
    except NothingToFuse:
        if options.precision != "fp32":
            raise
        shutil.copyfile(portable, target)  # its gated convolutions are conditional all the same
    frames = config.num_segments
    policies = draw_policies(metadata.layers, options.mix, _in_turn(target, options), frames)
    force_policies(target, policies)
    decisions = DecisionCounts(metadata.layers, metadata.gates)
    decisions.add(policies, frames)
    return decisions


def _in_turn(graph: Path, options: BenchmarkOptions) -> int:
    """Return how many clips our engine runs together; all of them obey the same policies."""
    together = min(options.clips, clips_at_once(read_metadata(graph)))
    if options.clips % together:
        raise InputError(
            f"Our engine runs {together} clips of this size together; give a multiple of "
            f"{together} for --clips."
        )
    return together


def _real(
    network: RealPolicies,
    options: BenchmarkOptions,
    target: Path,
    inputs: Path,
    watch: Watch | None,
) -> DecisionCounts:
    """Write a trained network and its clips; return its own decisions and what they cost."""
    from adafuse_deploy.data.listed_clips import ListedClips
    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.exporters.fused_exporter import lower

    metadata = read_metadata(network.graph)
    if not metadata.portable_name and (metadata.precision, options.precision) != ("fp32", "int8"):
        lower(network.graph, target, precision=options.precision)
    elif metadata.precision != options.precision:
        raise InputError(
            f"{network.graph} is in {metadata.precision}; choose --precision {metadata.precision}, "
            "or give a portable graph, quantised for int8."
        )
    else:
        shutil.copyfile(network.graph, target)
    listed = ListedClips(
        metadata.config,
        network.listed,
        reading=network.reading,
        labels="unused",
        count=network.count,
    )
    clips = np.stack([listed[index][0] for index in range(len(listed))])
    if len(clips) < options.clips:
        raise InputError(
            f"{network.listed} lists {len(clips)} clips, fewer than the {options.clips} wanted at "
            "a time."
        )
    clips = clips[: len(clips) // options.clips * options.clips]
    np.save(inputs, clips)
    decisions = DecisionCounts(metadata.layers, metadata.gates)
    with load_engine(target, threads=options.threads) as engine:
        for clip, video in zip(clips, listed.videos, strict=False):
            prediction = engine.run(clip[None])
            decisions.add(prediction.policies, clip.shape[0])
            if watch is not None:
                watch(clip, prediction, video)
    return decisions


def _circumstances(options: BenchmarkOptions, peers: Sequence[str]) -> dict[str, Any]:
    """What was asked for, and of which machine and versions."""
    skip, reuse, keep = options.mix
    return {
        "policy_mix": {"skip": skip, "reuse": reuse, "keep": keep},
        "threads": options.threads,
        "clips": options.clips,
        "isa": options.isa or "native",
        "max_disturbance": options.max_disturbance,
        "machine": describe_machine(),
        "versions": {
            "adafuse-deploy": __version__,
            **{
                peer: find_backend(peer).version()
                for peer in dict.fromkeys(("onnxruntime", *peers))
            },
        },
    }
