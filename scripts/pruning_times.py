"""Processor time of a network and of its pruned form, in every backend: docs/pruning.md.

    python scripts/pruning_times.py WHOLE PRUNED --data list.txt

WHOLE and PRUNED are what a name stands for of which there are NAME.pt, NAME.onnx and NAME.cpu.onnx.
All take turns on one thread, and what is printed is the median of the processor time of a clip,
which other programs on the machine disturb less than they do the time that passes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from adafuse_deploy.data.listed_clips import ListedClips
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine

FORMS = {
    "fused, our kernels": (".cpu.onnx", {}),
    "ONNX Runtime, all channels": (".onnx", {"operator_library": False}),
    "OpenVINO, all channels": (".onnx", {"backend": "openvino"}),
    "PyTorch, all channels": (".pt", {}),
}
WARMUP = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("whole")
    parser.add_argument("pruned")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=120)
    arguments = parser.parse_args()
    engines: dict[tuple[str, str], Engine] = {
        (form, name): load_engine(f"{name}{suffix}", threads=1, **how)
        for form, (suffix, how) in FORMS.items()
        for name in (arguments.whole, arguments.pruned)
    }
    config = next(iter(engines.values())).metadata.config
    clips = [clip[None] for clip, _ in ListedClips(config, arguments.data, count=8)]
    times: dict[tuple[str, str], list[float]] = {key: [] for key in engines}
    for turn in range(-WARMUP, arguments.rounds):
        for key, engine in engines.items():
            start = time.process_time()
            engine.run(clips[turn % len(clips)])
            if turn >= 0:
                times[key].append(1e3 * (time.process_time() - start))
    for form in FORMS:
        whole, pruned = (
            float(np.median(times[form, name])) for name in (arguments.whole, arguments.pruned)
        )
        print(f"{form:<28} {whole:7.2f} ms {pruned:7.2f} ms  {whole / pruned:.2f} times as fast")


if __name__ == "__main__":
    main()
