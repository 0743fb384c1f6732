"""Push 100,000 frames through a fused stream and watch the memory of the process.

Writes docs/benchmarks/soak.json.  AdaFuse TSN ResNet-18 of random weights decides for itself on
noise; the size of its frames changes how long this takes, not what may leak.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from adafuse_deploy.benchmark.contender import process_memory_mb
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.core.files import write_text
from adafuse_deploy.core.json_text import json_text
from adafuse_deploy.engines.engine import Engine
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks" / "soak.json"
ARCH, IMAGES, SAMPLES = "adafuse_tsn_resnet18", 64, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="adafuse-soak-") as folder:
        portable, fused = Path(folder, "model.onnx"), Path(folder, "model.cpu.onnx")
        model = VideoRecognizer(model_config(ARCH, size=arguments.size)).eval()
        export(model, portable, mode="stream")
        lower(portable, fused)
        with load_engine(fused, threads=arguments.threads) as engine:
            memory, state = _push(engine, arguments.frames, arguments.size)
    report = {
        "arch": ARCH,
        "size": arguments.size,
        "frames": arguments.frames,
        "state_mb": state / 1e6,
        "memory": memory,
        # Behind the first samples, in which allocators settle.
        "growth_mb": memory[-1]["rss_mb"] - memory[2]["rss_mb"],
        "machine": describe_machine(),
    }
    write_text(REPORT, json_text(report, indent=1) + "\n")
    print(f"Grew by {report['growth_mb']:.2f} MB; wrote {REPORT}.")


def _push(engine: Engine, frames: int, size: int) -> tuple[list[dict[str, float]], int]:
    images = np.random.default_rng(0).standard_normal((IMAGES, 3, size, size), np.float32)
    memory, start = [], time.perf_counter()
    with engine.stream() as stream:
        for done in range(1, frames + 1):
            stream.push(images[done % IMAGES])
            if done % (frames // SAMPLES) == 0:
                memory.append({"frames": done, "rss_mb": process_memory_mb("VmRSS")})
                seconds = time.perf_counter() - start
                print(f"{done} frames, {memory[-1]['rss_mb']:.1f} MB, {seconds:.0f} s", flush=True)
        return memory, stream.state_bytes


if __name__ == "__main__":
    main()
