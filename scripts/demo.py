"""The main job from end to end on the shipped network: ``python scripts/demo.py FOLDER``.

Runs the same commands a user would type, then prints one table.  Everything it makes stays in
FOLDER; the videos are kept between runs, the rest is made again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from adafuse_deploy.assets import SHIPPED
from adafuse_deploy.engines.base import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.engines.torch import TorchEngine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.checkpoint import read_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import dense_counterpart
from adafuse_deploy.verification.clips import ListedClips
from adafuse_deploy.verification.latency import interleave

VIDEOS, SEED = 120, 20260
"""Videos that the shipped network has not seen: its training used other seeds."""


def main(folder: Path) -> None:
    """Run the demo, leaving everything in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
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
    adafuse_deploy(
        *("build-engine", graph, "-o", engine, "--backend", "tensorrt-rtx"),
        *("--compute-capability", "8.6", "--fp16"),
    )
    adafuse_deploy(
        *("verify", graph, fused, "--checkpoint", SHIPPED, "--data", listing, "--json", report)
    )
    adafuse_deploy("classify", videos / "000000.mp4", "--model", fused, "--top", "3")
    dense_graph = folder / "dense.onnx"
    milliseconds = times(graph, fused, dense_graph, listing)
    print_table(json.loads(report.read_text()), milliseconds)
    print(
        "\nMade:",
        *(f"  {path}" for path in (listing, graph, fused, engine, dense_graph, report)),
        sep="\n",
    )


def adafuse_deploy(*arguments: object) -> None:
    """Run a verb in a process of its own, as a user would."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ adafuse-deploy {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "adafuse_deploy.cli", *words]
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


def times(graph: Path, fused: Path, dense_graph: Path, listing: Path) -> dict[str, float]:
    """Return the median milliseconds per clip of each way to run the network.

    The dense network is the same backbone without gates: what a user deploys who has no AdaFuse.
    """
    from adafuse_deploy.models.checkpoint import load_model

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


def print_table(report: dict[str, Any], milliseconds: dict[str, float]) -> None:
    """Print accuracy, policy agreement, GFLOPs and latency of every way to run the network."""
    recorded = read_checkpoint(SHIPPED)["dense"]
    results = {result["name"]: result for result in report["results"]}
    verified = {
        "PyTorch, AdaFuse": "torch",
        "ONNX Runtime, AdaFuse on function bodies": "onnxruntime",
        "ONNX Runtime, AdaFuse on conditional operators": "onnxruntime + operator library",
    }
    (built,) = (name for name in results if name.endswith(".cpu.onnx"))
    verified["ONNX Runtime, AdaFuse on fused blocks"] = built
    rows = [("", "top-1", "policies agree", "GFLOPs", "ms per clip")]
    for name, p50 in milliseconds.items():
        if name in verified:
            found = results[verified[name]]
            accuracy, agreement = found["top1_accuracy"], f"{found['policy_agreement']:.4g} %"
            gflops = found["gmacs_per_clip"]
        else:
            accuracy, agreement, gflops = recorded["top1"], "-", recorded["gflops"]
        star = "" if name in verified else " *"
        rows.append((name, f"{accuracy:.1f} %{star}", agreement, f"{gflops:.4f}", f"{p50:.2f}"))
    print()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))
    print("* of the same network trained without gates, as recorded in the checkpoint.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
