"""Measure how fast each fused operator of ResNet-50 is, beside what a core can do at most.

Writes layers.json in the machine's folder of docs/benchmarks, and the table of all machines.  Needs
the programs that 'make cpp' builds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import machines
import numpy as np
import onnxruntime
import torch
from page import write_section

from adafuse_deploy.benchmark.graphs import fix_batch, force_policies
from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.mixes import MIXES, draw_policies
from adafuse_deploy.core.cost import layer_macs
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.exporters.quantize import quantize
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import model_config
from adafuse_deploy.ops import library

PEAK = Path(__file__).parent.parent / "build" / "native" / "benchmarks" / "peak"
PAGE = machines.BENCHMARKS / "README.md"
REPORT = "layers.json"
ARCH, MIX, RUNS = "adafuse_tsm_resnet50", "sthv2", 10


def peaks() -> dict[str, dict[str, Any]]:
    """Return per precision the instruction set and 10^9 multiply-accumulates a second of a core."""
    if not PEAK.exists():
        sys.exit(f"{PEAK} is missing; run 'make cpp' first.")
    lines = subprocess.run([PEAK], check=True, capture_output=True, text=True).stdout.splitlines()
    return {entry["precision"]: entry for entry in map(json.loads, lines)}


def block_macs(metadata: GraphMetadata, policies: list[np.ndarray]) -> dict[str, int]:
    """Return stem or residual block -> multiply-accumulates of its convolutions, in order."""
    totals: dict[str, int] = defaultdict(int)
    costs = layer_macs(metadata.layers, policies, metadata.config.num_segments)[0]
    for layer, cost in zip(metadata.layers, costs, strict=True):
        if layer.kind == "conv":
            parts = layer.name.split(".")
            totals["stem" if len(parts) == 2 else ".".join(parts[1:3])] += int(cost)
    return dict(totals)


def milliseconds(graph: Path, metadata: GraphMetadata) -> list[float]:
    """Return the shortest time of every fused operator of a graph, in order, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(graph.with_suffix(""))
    library.register(options)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    clip = np.random.default_rng(0).standard_normal((1, *metadata.input_shape), np.float32)
    for _ in range(RUNS):
        session.run(None, {"frames": clip})
    best: dict[str, float] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        kind = event.get("args", {}).get("op_name", "")
        if kind.endswith(("Stem", "Bottleneck", "BasicBlock")):
            name = event["name"]
            best[name] = min(best.get(name, np.inf), event["dur"] / 1e3)
    return list(best.values())


def measure(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return per precision the stem and blocks with cost and time."""
    torch.manual_seed(0)
    portable, quantized = folder / "portable.onnx", folder / "quantized.onnx"
    metadata = export(VideoRecognizer(model_config(ARCH)).eval(), portable)
    clip = np.random.default_rng(1).standard_normal(metadata.input_shape, np.float32)
    quantize(portable, quantized, [clip])
    policies = draw_policies(metadata.layers, MIXES[MIX], 1, metadata.config.num_segments)
    costs = block_macs(metadata, policies)
    reports = {}
    for precision in ("fp32", "bf16", "int8"):
        fused = folder / f"{precision}.onnx"
        lower(quantized if precision == "int8" else portable, fused, precision=precision)
        force_policies(fused, policies)
        fix_batch(fused, 1)
        times = milliseconds(fused, metadata)
        reports[precision] = [
            {"name": name, "macs": cost, "ms": time, "gmacs_per_s": cost / time * 1e-6}
            for (name, cost), time in zip(costs.items(), times, strict=True)
        ]
    return reports


def table(report: dict[str, Any]) -> str:
    """Return the rates as a Markdown table."""
    precisions = list(report["layers"])
    columns = ["", "MMACs", *(f"{name}: ms, share of peak" for name in precisions)]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for rows in zip(*report["layers"].values(), strict=True):
        cells = [rows[0]["name"], f"{rows[0]['macs'] / 1e6:.0f}"]
        for precision, row in zip(precisions, rows, strict=True):
            share = row["gmacs_per_s"] / report["peaks"][precision]["gmacs"]
            cells.append(f"{row['ms']:.1f}, {share:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    known = "; ".join(
        f"{entry['precision']} ({entry['instructions']}) {entry['gmacs']:.0f}"
        for entry in report["peaks"].values()
    )
    return "\n".join([*lines, "", f"Peaks in 10^9 multiply-accumulates a second: {known}."])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="adafuse-layers-") as folder:
        report = {"peaks": peaks(), "layers": measure(Path(folder)), "machine": describe_machine()}
    machines.save(report, REPORT)
    write_section(PAGE, "layers", "layer_rates.py", machines.all_tables(REPORT, table))


if __name__ == "__main__":
    main()
