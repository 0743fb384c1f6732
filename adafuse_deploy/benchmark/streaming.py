"""Streams: our engine frame by frame against what dense networks must do for the same answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adafuse_deploy import __version__
from adafuse_deploy.benchmark.contender import Contender, Job
from adafuse_deploy.benchmark.graphs import fix_batch, force_stream_policies
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import draw_policies
from adafuse_deploy.benchmark.peers import choose_peers, engine_precision
from adafuse_deploy.benchmark.report import percentiles
from adafuse_deploy.benchmark.rounds import Times, time_in_turn
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import dense_macs
from adafuse_deploy.core.decisions import DecisionCounts
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.savings import savings
from adafuse_deploy.engines.backends import find_backend

PEERS = ("openvino", "onnxruntime")
PRECISIONS = ("fp32", "bf16")
DRAWN_FRAMES = 16
"""Frames with policies of their own; then the first comes again."""
MEMORY_SAMPLES = 10


@dataclass(frozen=True)
class StreamBenchmarkOptions:
    """How to time.

    Attributes:
        mix: shares of skip, reuse and keep.
        precision: of ours and of the peers, of :data:`PRECISIONS`.
        peers: dense runtimes to compare with, of :data:`PEERS`.
        threads: of every engine.
        streams: whose next frames are computed together.
        frames: undisturbed samples wanted of each engine.
        window: frames that a dense clip network looks at in every step.
        memory_frames: how many more frames ours runs while its memory is watched.
        warmup: frames of each before all those.
        max_seconds: of timing.
        max_disturbance: processors that other programs may keep busy during a frame.
    """

    mix: tuple[float, float, float]
    precision: str = "fp32"
    peers: tuple[str, ...] = PEERS
    threads: int = 1
    streams: int = 1
    frames: int = 100
    window: int = 8
    memory_frames: int = 1000
    warmup: int = 3
    max_seconds: float = 300.0
    max_disturbance: float = 0.1

    def __post_init__(self) -> None:
        if set(self.peers) - set(PEERS) or not self.peers:
            raise InputError(
                f"Peers of streams are one or more of {', '.join(PEERS)}, not "
                f"{', '.join(self.peers) or None}."
            )
        if self.precision not in PRECISIONS:
            raise InputError(f"Streams are in {' or '.join(PRECISIONS)}, not in {self.precision}.")


def run_stream_benchmark(
    config: ModelConfig, options: StreamBenchmarkOptions, *, progress: bool = False
) -> dict[str, Any]:
    """Time the next frame of some streams.

    Ours is the gated network with fused blocks.  The peers run the dense network of its backbone:
    "frame" once per frame, with its history as state where it has a temporal shift; "window" on the
    last ``window`` frames for every new one, as clip networks are deployed.  Weights are random and
    policies are drawn, so only speed is measured.

    Args:
        config: a gated network without bidirectional shift.
        options: what to compare and how.
        progress: show how far it is on standard error.

    Returns:
        The report, plain values for JSON; times in ms for the next frames of all streams together,
        multiply-accumulates per frame, memory in MB.

    Raises:
        InputError: the network has no gates or needs later frames.
        MissingDependencyError: a peer's runtime or the operator library is missing.
        CheckFailed: an engine has no undisturbed sample.
    """
    if not config.gated:
        raise InputError("Only networks with gates can skip work; choose an adafuse_... --arch.")
    sets = describe_machine()["instruction_sets"]
    peers, missing = choose_peers(options.peers, options.precision, None, sets)
    for peer in peers:
        find_backend(peer).load()
    with tempfile.TemporaryDirectory(prefix="adafuse-bench-") as folder, ExitStack() as stack:
        jobs, costs = _prepare(config, peers, sets, options, Path(folder))
        contenders = [stack.enter_context(Contender(job)) for job in jobs]
        times = time_in_turn(
            contenders,
            rounds=options.frames,
            warmup=options.warmup,
            max_seconds=options.max_seconds,
            max_disturbance=options.max_disturbance,
            progress=progress,
        )
        peaks = [contender.peak_rss_mb() for contender in contenders]
        memory = _watch_memory(contenders[0], options.memory_frames)
    entries = [
        _entry(job.name, options.precision, entry, peak)
        for job, entry, peak in zip(jobs, times, peaks, strict=True)
    ]
    return {**_report(options, entries, costs, memory), "missing": missing}


@dataclass(frozen=True)
class _Costs:
    """Multiply-accumulates per frame, dense; decisions and what they cost; bytes of a stream's
    state.
    """

    dense: int
    decisions: DecisionCounts
    state_bytes: int


def _prepare(
    config: ModelConfig,
    peers: Sequence[str],
    instruction_sets: list[str],
    options: StreamBenchmarkOptions,
    folder: Path,
) -> tuple[list[Job], _Costs]:
    """Write what every contender runs, ours first."""
    import torch

    from adafuse_deploy.engines.loader import load_engine
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.recognizer import VideoRecognizer
    from adafuse_deploy.models.registry import dense_peer

    torch.manual_seed(0)
    ours, frame, window = (folder / f"{name}.onnx" for name in ("ours", "frame", "window"))
    decisions = draw_stream(config, options, ours)
    dense = replace(dense_peer(config), num_segments=options.window)
    model = VideoRecognizer(dense).eval()
    layers = export(model, frame, mode="stream").layers
    export(model, window)
    for path in (frame, window):
        fix_batch(path, options.streams)
    jobs = [Job("ours", ours, "onnxruntime", options.threads, options.streams)]
    for kind, path in (("frame", frame), ("window", window)):
        for peer in peers:
            precision = engine_precision(peer, options.precision, instruction_sets)
            name = f"{peer} {kind}"
            jobs.append(Job(name, path, peer, options.threads, options.streams, precision))
    with (
        load_engine(ours, threads=options.threads) as engine,
        engine.stream(options.streams) as stream,
    ):
        state_bytes = stream.state_bytes
    return jobs, _Costs(dense_macs(layers, 1), decisions, state_bytes)


def draw_stream(
    config: ModelConfig, options: StreamBenchmarkOptions, target: Path
) -> DecisionCounts:
    """Write our stream graph of a random network that obeys drawn policies.

    Args:
        config: a gated network's.
        options: which mix, precision and number of streams.
        target: the ``.onnx`` to write; the portable graph is left beside it.

    Returns:
        Its decisions and what they cost: a clip of :data:`DRAWN_FRAMES`.
    """
    from adafuse_deploy.exporters.fused_exporter import lower
    from adafuse_deploy.exporters.onnx_exporter import export
    from adafuse_deploy.models.recognizer import VideoRecognizer

    portable = target.with_name("portable.onnx")
    metadata = export(VideoRecognizer(config).eval(), portable, mode="stream")
    lower(portable, target, precision=options.precision)
    policies = draw_policies(metadata.layers, options.mix, 1, DRAWN_FRAMES)
    force_stream_policies(target, [policy[0] for policy in policies], options.streams)
    fix_batch(target, options.streams)
    decisions = DecisionCounts(metadata.layers, metadata.gates)
    decisions.add(policies, DRAWN_FRAMES)
    return decisions


def _watch_memory(contender: Contender, frames: int) -> list[dict[str, float]]:
    """Run so many more frames and note the memory that the process holds on the way."""
    memory = [{"frames": 0, "rss_mb": contender.rss_mb()}]
    for sample in range(1, MEMORY_SAMPLES + 1):
        until = frames * sample // MEMORY_SAMPLES
        for _ in range(int(memory[-1]["frames"]), until):
            contender.run()
        memory.append({"frames": until, "rss_mb": contender.rss_mb()})
    return memory


def _entry(name: str, precision: str, times: Times, peak: float) -> dict[str, Any]:
    times.check(name, "frames")
    return {
        "name": name,
        "precision": precision,
        **percentiles(times.milliseconds, (50, 90, 99)),
        "peak_rss_mb": peak,
        "samples": len(times.milliseconds),
        "dropped": times.dropped,
    }


def _report(
    options: StreamBenchmarkOptions,
    entries: Sequence[dict[str, Any]],
    costs: _Costs,
    memory: list[dict[str, float]],
) -> dict[str, Any]:
    ours, *peers = entries

    def best(kind: str) -> dict[str, Any]:
        return min((p for p in peers if p["name"].endswith(kind)), key=lambda p: p["p50_ms"])

    def speedup(peer: dict[str, Any]) -> float:
        return float(peer["p50_ms"] / ours["p50_ms"])

    frame, window = best("frame"), best("window")
    skip, reuse, keep = options.mix
    adaptive = costs.decisions.macs / DRAWN_FRAMES
    return {
        "ours": ours,
        "peers": peers,
        "best_frame": frame["name"],
        "speedup_over_frame": speedup(frame),
        "best_window": window["name"],
        "speedup_over_window": speedup(window),
        "window": options.window,
        "streams": options.streams,
        "policy_mix": {"skip": skip, "reuse": reuse, "keep": keep},
        "macs_dense": costs.dense,
        "macs_adaptive": round(adaptive),
        "saved": savings(adaptive / 1e9, costs.dense / 1e9, ours["p50_ms"], frame["p50_ms"]),
        **costs.decisions.to_dict(per_frame=True),
        "state_mb_per_stream": costs.state_bytes / 1e6,
        "memory": memory,
        "threads": options.threads,
        "max_disturbance": options.max_disturbance,
        "machine": describe_machine(),
        "versions": {
            "adafuse-deploy": __version__,
            **{
                name: find_backend(name).version()
                for name in dict.fromkeys(("onnxruntime", *options.peers))
            },
        },
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    engines = [report["ours"], *report["peers"]]
    first, last = report["memory"][0], report["memory"][-1]
    return [
        *(f"{entry['name']:<20} missing: {entry['reason']}" for entry in report["missing"]),
        *(
            f"{e['name']:<20} {e['p50_ms']:8.1f} ms  (p99 {e['p99_ms']:.1f}; {e['samples']} "
            f"frames, {e['dropped']} dropped)  {e['peak_rss_mb']:.0f} MB"
            for e in engines
        ),
        f"Speed-up over {report['best_window']} of {report['window']} frames: "
        f"{report['speedup_over_window']:.2f}; over {report['best_frame']}: "
        f"{report['speedup_over_frame']:.2f}, with "
        f"{report['macs_dense'] / report['macs_adaptive']:.2f} times fewer multiply-accumulates.",
        f"State of a stream: {report['state_mb_per_stream']:.1f} MB; resident "
        f"{first['rss_mb']:.0f} MB, {last['frames']:.0f} frames later {last['rss_mb']:.0f} MB.",
    ]
