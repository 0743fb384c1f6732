"""Two builds of the operator library beside each other, on the same graphs.

Each runs in a process of its own; they take turns, and what counts is the ratio within a turn,
because a machine's speed drifts by more than a change is worth.

    python scripts/compare_libraries.py OLD.so NEW.so [ROW ...] [--turns 60] [--threads 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from adafuse_deploy.benchmark.contender import Contender, Job
from adafuse_deploy.benchmark.mixes import MIXES
from adafuse_deploy.benchmark.runner import BenchmarkOptions, draw_network
from adafuse_deploy.benchmark.streaming import StreamBenchmarkOptions, draw_stream
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.ops.library import ENVIRONMENT_VARIABLE

MIX = MIXES["sthv2"]
ROWS = {
    "resnet50-fp32": ("adafuse_tsm_resnet50", "fp32"),
    "resnet50-bf16": ("adafuse_tsm_resnet50", "bf16"),
    "resnet50-int8": ("adafuse_tsm_resnet50", "int8"),
    "resnet18-fp32": ("adafuse_tsm_resnet18", "fp32"),
    "bninception-fp32": ("adafuse_tsn_bninception", "fp32"),
    "stream-resnet50-fp32": ("adafuse_tsn_resnet50", "fp32"),
}
"""Name to network and precision; names that begin with "stream" are streams."""
WARM_UP = 3


def main() -> int:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--turns", type=int, default=60, help="runs of each library [60]")
    parser.add_argument("--threads", type=int, default=2, help="of either [2]")
    options = parser.parse_args()
    print(f"{'':22} {'old ms':>8} {'new ms':>8}  new / old: median (quartiles), CPU time")
    for row in options.rows or ROWS:
        with tempfile.TemporaryDirectory(prefix="adafuse-compare-") as folder:
            graph = Path(folder, "ours.onnx")
            _write(row, graph)
            seconds = _in_turn(graph, options)
        old, new = np.median(seconds[..., 0], 0) * 1e3
        ratios = seconds[:, 1] / seconds[:, 0]
        low, middle, high = np.percentile(ratios[:, 0], (25, 50, 75))
        cpu = np.median(ratios[:, 1])
        print(
            f"{row:22} {old:8.1f} {new:8.1f}  {middle:.3f} ({low:.3f} to {high:.3f}), {cpu:.3f}",
            flush=True,
        )
    return 0


def _write(row: str, graph: Path) -> None:
    name, precision = ROWS[row]
    torch.manual_seed(0)
    config = model_config(name)
    if row.startswith("stream"):
        draw_stream(config, StreamBenchmarkOptions(mix=MIX, precision=precision), graph)
    else:
        draw_network(config, BenchmarkOptions(mix=MIX, precision=precision), graph)


def _in_turn(graph: Path, options: argparse.Namespace) -> np.ndarray:
    """Return seconds (turns, 2 libraries, wall clock and CPU)."""
    old, new = (
        Contender(
            Job(
                str(library),
                graph,
                "onnxruntime",
                options.threads,
                clips=1,
                environment={ENVIRONMENT_VARIABLE: str(library.resolve())},
            )
        )
        for library in (options.old, options.new)
    )
    turns = []
    with old, new:
        for turn in range(WARM_UP + options.turns):
            pair = [old, new] if turn % 2 else [new, old]  # neither always runs after the other
            samples = {contender: contender.run() for contender in pair}
            turns.append([(samples[c].seconds, samples[c].cpu_seconds) for c in (old, new)])
    return np.array(turns[WARM_UP:])


if __name__ == "__main__":
    sys.exit(main())
