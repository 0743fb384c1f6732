"""Measure what fp16 and bf16 feature maps cost, and write the table in docs/gpu.md.

ONNX Runtime computes half precision on CPUs in float32 and rounds where it likes, or not at all.
So the graphs that TensorRT gets are rewritten here: every operator computes in float32, and what it
returns is rounded to half precision, as on a GPU whose sums are float32.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from page import DOCS, table, write_section

from adafuse_deploy.assets import SHIPPED
from adafuse_deploy.compare.output_error import relative_error
from adafuse_deploy.core.metadata import policy_name
from adafuse_deploy.data.listed_clips import ListedClips
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.given_policies import force_policies
from adafuse_deploy.graph.half_precision import HALVES, to_half
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.models.checkpoint import load_model
from adafuse_deploy.models.recognizer import VideoRecognizer

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.golden import FULL, golden_clip, load

VIDEOS, SEED = 200, 903  # of which the shipped network has seen none

Outputs = dict[str, np.ndarray]


def rounded(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """Return the half-precision form of ``model`` as float32 operators that round their results."""
    half = to_half(model, precision)
    kind = int(HALVES[precision])
    typed = onnx.shape_inference.infer_shapes(half, strict_mode=True).graph
    halves = {value.name for value in typed.value_info if value.type.tensor_type.elem_type == kind}
    graph = half.graph
    for tensor in graph.initializer:
        if tensor.data_type == kind:
            tensor.CopyFrom(_single(tensor))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type == kind:
                attribute.t.CopyFrom(_single(attribute.t))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == kind:
                attribute.i = TensorProto.FLOAT
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in halves:
                exact, short = f"{name}_exact", f"{name}_rounded"
                node.output[index] = exact
                nodes.append(helper.make_node("Cast", [exact], [short], to=kind))
                nodes.append(helper.make_node("Cast", [short], [name], to=TensorProto.FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return half


def _single(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def run(model: onnx.ModelProto, clips: np.ndarray) -> Outputs:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frames": clips}), strict=True))


def agreement(expected: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Return the share of equal decisions in per cent."""
    same = sum(int((a == b).sum()) for a, b in zip(expected, got, strict=True))
    return 100 * same / sum(a.size for a in expected)


@dataclass(frozen=True)
class Case:
    """A network and clips (N, T, 3, H, W) with their classes, where those are known."""

    name: str
    model: VideoRecognizer
    clips: np.ndarray
    labels: np.ndarray | None = None


def rows(case: Case, folder: Path) -> list[list[str]]:
    """Return a line of the table per precision."""
    path = folder / "model.onnx"
    metadata = export(case.model, path)
    single = inlined(read_graph(path)[0])
    names = [policy_name(gate) for gate in range(len(metadata.gates))]
    expected = run(single, case.clips)
    policies = [expected[name] for name in names]
    lines = []
    for precision in HALVES:
        half = rounded(single, precision)
        free, led = run(half, case.clips), run(force_policies(half, policies), case.clips)
        lines.append(
            [
                *(case.name, precision),
                f"{agreement(policies, [led[name] for name in names]):.3f} %",
                f"{relative_error(expected['logits'], led['logits']):.1e}",
                f"{agreement(policies, [free[name] for name in names]):.3f} %",
                f"{relative_error(expected['logits'], free['logits']):.1e}",
                _top1(case.labels, expected, free),
            ]
        )
    return lines


def _top1(labels: np.ndarray | None, *outputs: Outputs) -> str:
    if labels is None:
        return ""
    shares = (float((entry["logits"].argmax(1) == labels).mean()) for entry in outputs)
    return " -> ".join(f"{100 * share:.1f} %" for share in shares)


def shipped(folder: Path) -> Case:
    model = load_model(SHIPPED)
    # As images, because encoders of video do not give the same bytes every time.
    command = ("synthesize", folder / "videos", "--count", VIDEOS, "--seed", SEED, "--images")
    subprocess.run(
        [sys.executable, "-m", "adafuse_deploy.cli", *map(str, command)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    clips, labels = zip(*ListedClips(model.config, folder / "videos" / "list.txt"), strict=True)
    name = f"shipped ResNet-18, {VIDEOS} unseen videos"
    return Case(name, model, np.stack(clips), np.array(labels))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="adafuse-half-") as name:
        folder = Path(name)
        cases = [shipped(folder)]
        for golden, size in FULL.items():
            title = {"adatsn18": "TSN ResNet-18", "adatsm50": "TSM ResNet-50"}[golden]
            title = f"{title}, reference weights, 2 clips of noise"
            cases.append(Case(title, load(golden, folder), golden_clip(size)))
        lines = [line for case in cases for line in rows(case, folder)]
    columns = [
        *("network", "feature maps"),
        *("decisions, float32's obeyed", "logits, likewise"),
        *("decisions, end to end", "logits, end to end", "top-1: float32 -> this"),
    ]
    write_section(DOCS / "gpu.md", "half precision", "half_precision.py", table(columns, lines))


if __name__ == "__main__":
    main()
