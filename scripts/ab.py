"""Two builds beside each other on the same graphs: the tool for decisions about one per cent.

A build is a library (``libadafuse_onnxruntime.so``), used with this Python, or the Python of
another environment, used with all that is installed there. Each draws the same network in a
process of its own; they take turns in bursts, and what counts is the ratio within a turn, because
a machine's speed drifts by more than a change is worth.

    python scripts/ab.py OLD NEW [ROW ...] [--turns 40] [--burst 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from adafuse_deploy.ops.library import ENVIRONMENT_VARIABLE

ROWS = {
    "resnet50-fp32": ("adafuse_tsm_resnet50", "fp32"),
    "resnet50-bf16": ("adafuse_tsm_resnet50", "bf16"),
    "resnet50-int8": ("adafuse_tsm_resnet50", "int8"),
    "resnet18-fp32": ("adafuse_tsm_resnet18", "fp32"),
    "bninception-fp32": ("adafuse_tsn_bninception", "fp32"),
    "stream-resnet50-fp32": ("adafuse_tsn_resnet50", "fp32"),
}
"""Name to network and precision; names that begin with "stream" are streams."""
SERVE = "--serve"


class Side:
    """One build in its own process, which answers a number with the seconds of that many runs."""

    def __init__(self, build: Path, row: str, threads: int) -> None:
        python, environment = sys.executable, dict(os.environ)
        if build.suffix == ".so":
            environment[ENVIRONMENT_VARIABLE] = str(build.resolve())
        else:
            python = str(build.absolute())  # not resolved: a link decides which environment it is
        command = [python, __file__, SERVE, row, str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        )

    def run(self, count: int) -> np.ndarray:
        """Return the seconds of ``count`` runs (count, wall clock and CPU)."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        try:
            stdin.write(f"{count}\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended; then it does not answer
        answer = stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args!r} ended: its message is above.")
        return np.array(answer.split(), float).reshape(-1, 2)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()  # which ends it
        self._process.wait()


def main() -> int:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="library or Python")
    parser.add_argument("new", type=Path, help="library or Python")
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--turns", type=int, default=40, help="bursts of each build [40]")
    parser.add_argument("--burst", type=int, default=3, help="runs in a burst [3]")
    parser.add_argument("--threads", type=int, default=2, help="of either [2]")
    options = parser.parse_args()
    print(f"{'':22} {'old ms':>8} {'new ms':>8}  new / old: median (quartiles), CPU time")
    for row in options.rows or ROWS:
        seconds = in_turn(row, options)
        old, new = np.median(seconds[..., 0], 0) * 1e3
        ratios = seconds[:, 1] / seconds[:, 0]
        low, middle, high = np.percentile(ratios[:, 0], (25, 50, 75))
        cpu = np.median(ratios[:, 1])
        print(
            f"{row:22} {old:8.1f} {new:8.1f}  {middle:.3f} ({low:.3f} to {high:.3f}), {cpu:.3f}",
            flush=True,
        )
    return 0


def in_turn(row: str, options: argparse.Namespace) -> np.ndarray:
    """Return the medians of bursts in seconds (turns, 2 builds, wall clock and CPU)."""
    sides = [Side(build, row, options.threads) for build in (options.old, options.new)]
    turns = np.empty((options.turns, 2, 2))
    with sides[0], sides[1]:
        for side in sides:
            side.run(options.burst)  # warms up
        for turn in range(options.turns):
            for index in (0, 1) if turn % 2 else (1, 0):  # neither always runs after the other
                turns[turn, index] = np.median(sides[index].run(options.burst), 0)
    return turns


def write_graph(row: str, graph: Path) -> None:
    """Write the network of a row: random weights, the policy mix of Something-Something V2."""
    import torch

    from adafuse_deploy.benchmark.mixes import MIXES
    from adafuse_deploy.benchmark.runner import BenchmarkOptions, draw_network
    from adafuse_deploy.benchmark.streaming import StreamBenchmarkOptions, draw_stream
    from adafuse_deploy.models.registry import model_config

    name, precision = ROWS[row]
    mix = MIXES["sthv2"]
    torch.manual_seed(0)
    config = model_config(name)
    if row.startswith("stream"):
        draw_stream(config, StreamBenchmarkOptions(mix=mix, precision=precision), graph)
    else:
        draw_network(config, BenchmarkOptions(mix=mix, precision=precision), graph)


def serve(row: str, threads: str) -> None:
    """Run a row's network as often as each line of stdin says."""
    from adafuse_deploy import load_engine

    with tempfile.TemporaryDirectory(prefix="adafuse-ab-") as folder:
        graph = Path(folder, "network.onnx")
        write_graph(row, graph)
        engine = load_engine(graph, threads=int(threads), backend="onnxruntime")
    clip = np.random.default_rng(0).standard_normal((1, *engine.metadata.input_shape), np.float32)
    stream = engine.stream(1) if engine.metadata.mode == "stream" else None
    for line in sys.stdin:
        samples = []
        for _ in range(int(line)):
            wall, cpu = time.perf_counter(), time.process_time()
            stream.push(clip) if stream else engine.run(clip)
            samples.append((time.perf_counter() - wall, time.process_time() - cpu))
        print(*(f"{wall} {cpu}" for wall, cpu in samples), flush=True)


if __name__ == "__main__":
    sys.exit(serve(*sys.argv[2:]) if sys.argv[1:2] == [SERVE] else main())
