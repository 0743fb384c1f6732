"""The main job from end to end on the shipped networks: ``python scripts/demo.py FOLDER``.

Runs the same commands a user would type: clips first, then a stream, then a network of full
size beside its dense peers.  Everything it makes stays in FOLDER; the videos are kept between runs,
the rest is made again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adafuse_deploy.assets import SHIPPED, SHIPPED_STREAM
from adafuse_deploy.benchmark.mixes import MIXES
from adafuse_deploy.benchmark.runner import BenchmarkOptions, run_benchmark
from adafuse_deploy.data.listed_clips import ListedClips
from adafuse_deploy.data.synthetic import CLASS_NAMES, synthetic_clip
from adafuse_deploy.data.video import write_video
from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.pytorch_engine import TorchEngine
from adafuse_deploy.evaluation.result import Evaluation
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import dense_counterpart, model_config
from adafuse_deploy.verification.latency import interleave

VIDEOS, SEED = 120, 20260
"""Videos that the shipped networks have not seen: their training used other seeds."""
ACTIONS = (0, 10, 3, 5, 9, 1)
"""Classes of the video that is streamed, one behind the other, 24 frames of each."""
FPS = 8
LARGE, MIX = "adafuse_tsm_resnet18", "sthv2"
PEERS = ("openvino", "onnxruntime")
EQUAL = 0.03
"""Differences of time below this share are called none."""


def main(folder: Path) -> None:
    """Run the demo, leaving everything in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [*clips(folder), *stream(folder)]
    large_network()
    print("\nMade:", *(f"  {path}" for path in made), sep="\n")


def title(text: str) -> None:
    """Begin a part."""
    print(f"\n== {text} ==", flush=True)


def adafuse_deploy(*arguments: object) -> None:
    """Run a verb in a process of its own, as a user would."""
    words = [_short(argument) for argument in arguments]
    print(f"\n$ adafuse-deploy {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "adafuse_deploy.cli", *words]
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


def _short(argument: object) -> str:
    """Return an argument as somebody would type it: a path in this folder from here on."""
    here = Path.cwd()
    inside = isinstance(argument, Path) and argument.is_relative_to(here)
    return str(argument.relative_to(here) if inside else argument)  # type: ignore[attr-defined]


def clips(folder: Path) -> list[Path]:
    """Take the shipped network from checkpoint to engines, verify and time them."""
    title("Clips: from a checkpoint to engines that skip what the policies skip")
    videos = folder / "videos"
    listing = videos / "list.txt"
    if not listing.is_file():
        shutil.rmtree(videos, ignore_errors=True)
        adafuse_deploy("synthesize", videos, "--count", VIDEOS, "--seed", SEED)
    graph, fused = folder / "model.onnx", folder / "model.cpu.onnx"
    engine, report = folder / "model.engine", folder / "verify.json"
    adafuse_deploy("inspect", SHIPPED)
    adafuse_deploy("export", SHIPPED, "-o", graph)
    adafuse_deploy("build-engine", graph, "-o", fused, "--backend", "onnxruntime")
    made = [listing, graph, fused]
    if BACKENDS["tensorrt-rtx"].installed():  # which needs no GPU to build for one
        adafuse_deploy(
            *("build-engine", graph, "-o", engine, "--backend", "tensorrt-rtx"),
            *("--compute-capability", "8.6", "--fp16"),
        )
        made.append(engine)
    adafuse_deploy(
        *("verify", graph, fused, "--checkpoint", SHIPPED, "--data", listing, "--json", report)
    )
    adafuse_deploy("classify", videos / "000000.mp4", "--model", fused, "--top", "3")
    dense_graph = folder / "dense.onnx"
    milliseconds = times(graph, fused, dense_graph, listing)
    verified = json.loads(report.read_text())
    print_table(verified, milliseconds)
    recorded = read_checkpoint(SHIPPED)
    gmacs = [Evaluation.from_dict(recorded[name]).gmacs for name in ("evaluation", "dense")]
    print(small_verdict(milliseconds, *gmacs))
    return [*made, dense_graph, report]


def times(graph: Path, fused: Path, dense_graph: Path, listing: Path) -> dict[str, float]:
    """Return the median milliseconds per clip of each way to run the network.

    The dense network is the same backbone without gates: what a user deploys who has no AdaFuse.
    """
    model = load_model(SHIPPED)
    dense = VideoRecognizer(dense_counterpart(model.config)).eval()
    dense.load_state_dict({k: v for k, v in model.state_dict().items() if ".gate" not in k})
    export(dense, dense_graph)
    engines: dict[str, Engine] = {
        "PyTorch, dense": TorchEngine(dense),
        "PyTorch, AdaFuse": TorchEngine(model),
        "ONNX Runtime, dense": load_engine(dense_graph),
        "ONNX Runtime, AdaFuse on function bodies": load_engine(graph, operator_library=False),
        "ONNX Runtime, AdaFuse on conditional operators": load_engine(graph),
        "ONNX Runtime, AdaFuse on fused blocks": load_engine(fused),
    }
    videos = ListedClips(model.config, listing, count=16)
    clips = [videos[index][0][None] for index in range(len(videos))]
    result = interleave(
        {name: lambda e=e: [e.run(clip) for clip in clips] for name, e in engines.items()},
        rounds=15,
    )
    return {name: latency.p50 / len(clips) for name, latency in result.items()}


def print_table(report: dict[str, Any], milliseconds: Mapping[str, float]) -> None:
    """Print accuracy, policy agreement, GMACs and latency of every way to run the network."""
    recorded = Evaluation.from_dict(read_checkpoint(SHIPPED)["dense"])
    results = {result["name"]: result for result in report["results"]}
    verified = {
        "PyTorch, AdaFuse": "torch",
        "ONNX Runtime, AdaFuse on function bodies": "onnxruntime",
        "ONNX Runtime, AdaFuse on conditional operators": "onnxruntime + operator library",
    }
    (built,) = (name for name in results if name.endswith(".cpu.onnx"))
    verified["ONNX Runtime, AdaFuse on fused blocks"] = built
    rows = [("", "top-1", "policies agree", "GMACs", "ms per clip")]
    for name, p50 in milliseconds.items():
        if name in verified:
            found = results[verified[name]]
            accuracy, agreement = found["top1_accuracy"], f"{found['policy_agreement']:.4g} %"
            gmacs = found["gmacs_per_clip"]
        else:
            accuracy, agreement, gmacs = recorded.top1, "-", recorded.gmacs
        star = "" if name in verified else " *"
        rows.append((name, f"{accuracy:.1f} %{star}", agreement, f"{gmacs:.4f}", f"{p50:.2f}"))
    print()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))
    print("* of the same network trained without gates, as recorded in the checkpoint.")


def small_verdict(milliseconds: Mapping[str, float], adaptive: float, dense: float) -> str:
    """Say what the times mean, and how far they follow from the work that is spared.

    Args:
        milliseconds: per clip; a name that ends in "dense" is a dense network's.
        adaptive, dense: GMACs per clip.
    """
    peers = {name: time for name, time in milliseconds.items() if name.endswith("dense")}
    ours = {name: time for name, time in milliseconds.items() if name not in peers}
    peer, best = min(peers, key=peers.__getitem__), min(ours, key=ours.__getitem__)
    work = dense / adaptive
    ratio = peers[peer] / ours[best]
    lines = [f"Best AdaFuse ({best}) beside best dense ({peer}): {_compared(ratio)}."]
    if ratio < work / (1 + EQUAL):
        lines.append(
            f"That is less than the {work:.1f} times fewer multiply-accumulates, because the "
            f"network is small: the whole clip is {1e3 * dense:.0f} million of them, "
            f"{peers[peer]:.1f} ms. Deciding and calling operators cost time whatever is skipped, "
            "and here there is little to save. The network at the end of this demo has more."
        )
    return "\n".join(map(_wrapped, lines))


def _wrapped(text: str) -> str:
    """Break a sentence into lines for a terminal."""
    return textwrap.fill(text, 100, break_on_hyphens=False)


def _compared(ratio: float) -> str:
    """Put how many times as fast as dense something is into words."""
    if abs(ratio - 1) < EQUAL:
        return "equally fast here"
    if ratio > 1:
        return f"AdaFuse is {ratio:.2f} times as fast here"
    return f"AdaFuse is slower here, dense {1 / ratio:.2f} times as fast"


def stream(folder: Path) -> list[Path]:
    """Take the shipped streaming network from checkpoint to labels along a video."""
    title("A stream: one frame at a time, each computed once")
    video = folder / "actions.mp4"
    parts = [synthetic_clip(label, seed=SEED)[0] for label in ACTIONS]
    write_video(video, np.concatenate(parts), fps=FPS)
    graph, fused = folder / "stream.onnx", folder / "stream.cpu.onnx"
    adafuse_deploy("export", SHIPPED_STREAM, "--mode", "stream", "-o", graph)
    adafuse_deploy("build-engine", graph, "-o", fused, "--backend", "onnxruntime")
    begins = np.cumsum([0, *map(len, parts)]) / FPS
    print(f"\n{video} shows:")
    for begin, label in zip(begins, ACTIONS, strict=False):
        print(f"{begin:8.2f} s  {CLASS_NAMES[label]}")
    # As in training a frame every 0.375 s, of which eight are one action.
    seen = folder / "stream.jsonl"
    adafuse_deploy(
        *("stream", fused, video),
        *("--consensus", "window", "--window", 4, "--json", seen),
    )
    frames = [json.loads(line) for line in seen.read_text().splitlines()]
    print(stream_verdict(frames, begins.tolist(), [CLASS_NAMES[label] for label in ACTIONS]))
    return [video, graph, fused, seen]


def stream_verdict(
    frames: Sequence[Mapping[str, Any]], begins: Sequence[float], names: Sequence[str]
) -> str:
    """Say how many actions were recognised when they ended.

    Args:
        frames: what ``stream --json`` wrote.
        begins: seconds at which the actions begin, and the last one's end.
        names: of the actions.
    """
    ends = begins[1:]
    right = 0
    for end, name in zip(ends, names, strict=True):
        last = [frame for frame in frames if frame["seconds"] < end][-1]
        right += last["top"][0]["label"] == name
    return _wrapped(
        f"At their ends {right} of {len(names)} actions were recognised; the first frames of each "
        "action still have the previous one behind them."
    )


def large_network() -> None:
    """Time a network of full size beside dense peers; ``make bench`` takes ResNet-50."""
    title("A network of full size: ResNet-18 at the paper's policy mix")
    peers = tuple(name for name in PEERS if BACKENDS[name].installed())
    print(
        "\n"
        + _wrapped(
            f"{LARGE}, 8 frames of 224 x 224, random weights; policies drawn as often as the paper "
            "reports for Something-Something V2.  A short form of"
        )
        + f"\n  adafuse-deploy bench --arch {LARGE} --policy-mix {MIX} --threads 2",
        flush=True,
    )
    options = BenchmarkOptions(
        mix=MIXES[MIX],
        peers=peers,
        threads=2,
        rounds=7,
        warmup=1,
        max_seconds=20,
        max_disturbance=float("inf"),  # a demo shall end on a busy machine too
    )
    report = run_benchmark(model_config(LARGE), options, progress=True)
    print()
    for row in (report["ours"], *report["peers"]):
        name = "AdaFuse, ours" if row is report["ours"] else f"dense, {row['name']}"
        print(
            f"{name:<20} {row['p50_ms']:8.1f} ms per clip ({row['p25_ms']:.1f} to "
            f"{row['p75_ms']:.1f})"
        )
    print(large_verdict(report))


def large_verdict(report: Mapping[str, Any]) -> str:
    """Say what a benchmark's report found."""
    work = report["macs_dense"] / report["macs_adaptive"]
    return _wrapped(
        f"Beside the best dense peer ({report['best_peer']}): {_compared(report['speedup'])}, with "
        f"{work:.2f} times fewer multiply-accumulates."
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
