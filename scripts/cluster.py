#!/usr/bin/env python3
"""Videos a second and CPU time of a video, here and on a Ray cluster of this machine.

`python scripts/cluster.py MODEL` prints what docs/cluster.md says.  Nodes have one processor each,
and one engine with one process that reads for it; copies of a clip of 10 seconds, 320 x 240, H.264,
are labelled.  Start-up is not counted: the clock starts at the first row.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ray.cluster_utils import Cluster as LocalCluster

from adafuse_deploy.core.files import sha256
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.engines.cluster import Cluster, EngineOfWorker
from adafuse_deploy.engines.labelling import LabelledVideo, LabelOptions, LocalLabeller
from adafuse_deploy.engines.loader import load_engine

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.decoding import encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--videos", type=int, default=1280)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "0.mp4")
        encode(first, 320, 240, 12)
        for number in range(1, options.videos):
            os.link(first, Path(folder, f"{number}.mp4"))
        videos = [Video(str(path)) for path in sorted(Path(folder).iterdir())]
        print("| where | videos a second | CPU ms a video | load |\n| --- | --- | --- | --- |")
        with (
            load_engine(options.model, threads=1) as engine,
            LocalLabeller(engine, LabelOptions()) as labeller,
        ):
            measure("one process, no Ray", labeller.label(videos), len(videos))
        for count in options.nodes:
            on_cluster(count, options.model, videos)


def on_cluster(count: int, model: str, videos: list[Video]) -> None:
    """Measure a cluster of so many nodes."""
    worker = EngineOfWorker(os.path.abspath(model), sha256(model), True, 1, LabelOptions())
    head = {"num_cpus": 1, "include_dashboard": False}
    nodes = LocalCluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(count - 1):
            nodes.add_node(num_cpus=1)
        with Cluster(nodes.address, worker) as cluster:
            measure(f"Ray, {count} nodes", cluster.label(videos), len(videos))
    finally:
        nodes.shutdown()


def measure(name: str, rows: Iterator[LabelledVideo], count: int) -> None:
    """Print a line of the table for labelling ``count`` videos.

    Rows come in lots; the clock starts when the first came.  Workers that have nothing left to do
    end, and their processor time goes with them, so the most that was seen counts.
    """
    first, last, most = (0, 0.0, 0.0), 0.0, (0, 0.0)
    for done, labelled in enumerate(rows, 1):
        assert labelled.row["error"] is None, labelled.row["error"]
        now = time.perf_counter()
        if now - last > 0.05 or not first[0]:
            busy = cpu_seconds()
            first = first if first[0] else (done, now, busy)
            most = max(most, (done - 1, busy), key=lambda sample: sample[1])
        last = now
    rate = (count - first[0]) / (last - first[1])
    cpu = 1e3 * (most[1] - first[2]) / (most[0] - first[0] + 1)
    print(f"| {name} | {rate:.1f} | {cpu:.1f} | {os.getloadavg()[0]:.1f} |", flush=True)


def cpu_seconds() -> float:
    """Return the processor time of this process and of all that it started and that are alive."""
    parents, ticks = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents[int(folder.name)] = int(fields[1])
        ticks[int(folder.name)] = int(fields[11]) + int(fields[12])

    def ours(process: int) -> bool:
        return process == os.getpid() or (process > 1 and ours(parents.get(process, 0)))

    return sum(ticks[process] for process in ticks if ours(process)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
