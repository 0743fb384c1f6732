"""The benchmark: our engine under a policy mix against dense peers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adafuse_deploy import __version__
from adafuse_deploy.benchmark.contender import Contender, Job
from adafuse_deploy.benchmark.graphs import fix_batch, force_policies
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import draw_policies
from adafuse_deploy.benchmark.rounds import Times, time_in_turn
from adafuse_deploy.config import ModelConfig
from adafuse_deploy.engines.backends import find_backend
from adafuse_deploy.errors import CheckFailed, InputError
from adafuse_deploy.macs import clip_macs, dense_macs

PEERS = ("openvino", "onnxruntime", "torch")


@dataclass(frozen=True)
class BenchmarkOptions:
    """How to time.

    Attributes:
        mix: shares of skip, reuse and keep.
        peers: dense runtimes to compare with, of :data:`PEERS`.
        threads: of every engine.
        clips: at a time.
        rounds: undisturbed samples wanted of each engine.
        warmup: runs of each before those.
        max_seconds: of timing.
        max_disturbance: processors that other programs may keep busy during a run.
    """

    mix: tuple[float, float, float]
    peers: tuple[str, ...] = PEERS
    threads: int = 1
    clips: int = 1
    rounds: int = 20
    warmup: int = 3
    max_seconds: float = 300.0
    max_disturbance: float = 0.1

    def __post_init__(self) -> None:
        unknown = set(self.peers) - set(PEERS)
        if unknown or not self.peers:
            raise InputError(
                f"Peers are one or more of {', '.join(PEERS)}, not {', '.join(self.peers) or None}."
            )


def run_benchmark(
    config: ModelConfig, options: BenchmarkOptions, *, progress: bool = False
) -> dict[str, Any]:
    """Time the adaptive network on our kernels and the dense network of its backbone on peers.

    Weights are random and policies are drawn, so only speed is measured.  The whole deployed graph
    is timed: stem, layout conversion, policy networks and head included.

    Args:
        config: a gated network.
        options: what to compare and how.
        progress: show a progress bar on a terminal.

    Returns:
        The report, plain values for JSON; times in ms, memory in MB, multiply-accumulates per clip.

    Raises:
        InputError: the network has no gates.
        MissingDependencyError: a peer's runtime or the operator library is missing.
        CheckFailed: an engine has no undisturbed sample.
    """
    if not config.gated:
        raise InputError("Only networks with gates can skip work; choose an adafuse_... --arch.")
    for peer in options.peers:
        find_backend(peer).load()
    with tempfile.TemporaryDirectory(prefix="adafuse-bench-") as folder, ExitStack() as stack:
        jobs, costs = _prepare(config, options, Path(folder))
        contenders = [stack.enter_context(Contender(job)) for job in jobs]
        times = time_in_turn(
            contenders,
            rounds=options.rounds,
            warmup=options.warmup,
            max_seconds=options.max_seconds,
            max_disturbance=options.max_disturbance,
            progress=progress,
        )
        memory = [contender.peak_rss_mb() for contender in contenders]
    return _report(options, [job.name for job in jobs], times, memory, costs)


@dataclass(frozen=True)
class _Costs:
    """Multiply-accumulates per clip, of the dense network and under the policies."""

    dense: int
    adaptive: float


def _prepare(
    config: ModelConfig, options: BenchmarkOptions, folder: Path
) -> tuple[list[Job], _Costs]:
    """Write what every contender runs, ours first."""
    import torch

    from adafuse_deploy.engines.lowering.build import lower
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.checkpoint import save_checkpoint
    from adafuse_deploy.models.recognizer import VideoRecognizer
    from adafuse_deploy.models.registry import dense_counterpart

    torch.manual_seed(0)
    portable, ours = folder / "portable.onnx", folder / "ours.onnx"
    metadata = export(VideoRecognizer(config).eval(), portable)
    lower(portable, ours)
    frames = config.num_segments
    policies = draw_policies(metadata.layers, options.mix, options.clips, frames)
    force_policies(ours, policies)
    dense_model = VideoRecognizer(dense_counterpart(config)).eval()
    graph, checkpoint = folder / "dense.onnx", folder / "dense.pt"
    dense = export(dense_model, graph)
    save_checkpoint(dense_model, checkpoint)
    for path in (ours, graph):
        fix_batch(path, options.clips)
    sources = {
        "openvino": (graph, "openvino"),
        "onnxruntime": (graph, "onnxruntime"),
        "torch": (checkpoint, "torch"),
    }
    jobs = [Job("ours", ours, "onnxruntime", options.threads, options.clips)]
    jobs += [Job(name, *sources[name], options.threads, options.clips) for name in options.peers]
    adaptive = clip_macs(metadata.layers, policies, frames)
    return jobs, _Costs(dense_macs(dense.layers, frames), float(np.mean(adaptive)))


def _report(
    options: BenchmarkOptions,
    names: Sequence[str],
    times: Sequence[Times],
    memory: Sequence[float],
    costs: _Costs,
) -> dict[str, Any]:
    for name, entry in zip(names, times, strict=True):
        if not entry.milliseconds:
            raise CheckFailed(
                f"All {entry.dropped} runs of {name} were disturbed by other programs; stop them, "
                "or raise --max-disturbance."
            )
    engines: list[dict[str, Any]] = [
        {
            "name": name,
            "precision": "fp32",
            **_percentiles(entry.milliseconds),
            "peak_rss_mb": peak,
            "samples": len(entry.milliseconds),
            "dropped": entry.dropped,
        }
        for name, entry, peak in zip(names, times, memory, strict=True)
    ]
    ours, *peers = engines
    best = min(peers, key=lambda peer: peer["p50_ms"])
    speedup = best["p50_ms"] / ours["p50_ms"]
    skip, reuse, keep = options.mix
    return {
        "ours": ours,
        "peers": peers,
        "best_peer": best["name"],
        "policy_mix": {"skip": skip, "reuse": reuse, "keep": keep},
        "macs_dense": costs.dense,
        "macs_adaptive": round(costs.adaptive),
        "speedup": speedup,
        "realised": speedup * costs.adaptive / costs.dense,
        "samples": min(len(entry.milliseconds) for entry in times),
        "dropped": sum(entry.dropped for entry in times),
        "threads": options.threads,
        "clips": options.clips,
        "max_disturbance": options.max_disturbance,
        "machine": describe_machine(),
        "versions": {
            "adafuse-deploy": __version__,
            **{peer: find_backend(peer).version() for peer in ("onnxruntime", *options.peers)},
        },
    }


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    points = (25, 50, 75, 90)
    values = np.percentile(milliseconds, points)
    return {f"p{point}_ms": float(value) for point, value in zip(points, values, strict=True)}
