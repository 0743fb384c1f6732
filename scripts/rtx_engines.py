"""Build engines with TensorRT for RTX for every GPU generation, and write the table in docs/gpu.md.

No GPU takes part: TensorRT for RTX compiles ahead of time, and chooses kernels on the GPU later.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from page import DOCS, table, write_section

from adafuse_deploy.engines.backends import BACKENDS
from adafuse_deploy.engines.sidecar import BatchProfile
from adafuse_deploy.exporters.build_options import BuildOptions
from adafuse_deploy.exporters.gpu_engine import build_gpu_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.registry import create_model

NETWORKS = ("adafuse_tsm_resnet50", "adafuse_tsn_bninception")
PRECISIONS = ("fp32", "fp16")
CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0")
BATCH = BatchProfile(1, 1, 8)


def build(graph: Path, precision: str, capability: str) -> tuple[float, float]:
    """Return seconds and megabytes of a build."""
    engine = graph.with_suffix(".engine")
    options = BuildOptions(precision, (capability,), BATCH)
    start = time.perf_counter()
    build_gpu_engine(graph, engine, backend="tensorrt-rtx", options=options)
    return time.perf_counter() - start, engine.stat().st_size / 1e6


def main() -> None:
    lines = []
    with tempfile.TemporaryDirectory(prefix="adafuse-engines-") as name:
        graph = Path(name) / "model.onnx"
        for network in NETWORKS:
            export(create_model(network).eval(), graph)
            for precision in PRECISIONS:
                built = [build(graph, precision, capability) for capability in CAPABILITIES]
                cells = [f"{seconds:.1f} s, {megabytes:.0f} MB" for seconds, megabytes in built]
                lines.append([f"`{network}`", precision, *cells])
    text = table(["network", "precision", *(f"SM {entry}" for entry in CAPABILITIES)], lines)
    version = BACKENDS["tensorrt-rtx"].version()
    text += f"\n\nTensorRT for RTX {version}, engines for {BATCH.min} to {BATCH.max} clips."
    write_section(DOCS / "gpu.md", "engines", "rtx_engines.py", text)


if __name__ == "__main__":
    main()
