"""Gates of every kind in what is built from a portable graph: GPU builders' graphs, INT8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from adafuse_deploy.core.actions import KEEP
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.metadata import GraphMetadata, policy_name
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.exporters.quantize import quantize
from adafuse_deploy.graph.half_precision import to_half
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.graph.without_gemm import linear_as_convolution
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import assert_same, slow

SMALL: dict[str, Any] = {
    "size": 32, "width": 0.125, "num_segments": 4, "num_classes": 5, "gate_hidden": 16,
    "gated_stages": (2, 4), "shared_policy": False, "gate_quota": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "keep or reuse": {"gate_actions": ("keep", "reuse"), "gate_relu": False},
    "keep or skip": {"gate_actions": ("keep", "skip")},
    "one layer": {"gate_layers": 1},
    "three layers on maxima": {"gate_layers": 3, "gate_pooling": "max"},
}


@pytest.mark.parametrize(
    "kind",
    ["keep or reuse", slow("keep or skip"), slow("one layer"), slow("three layers on maxima")],
)
def test_graphs_built_from_the_portable_one(
    kind: str, make_model: Callable[..., VideoRecognizer], tmp_path: Path
) -> None:
    model = make_model("adafuse_tsm_resnet18", **{**SMALL, **KINDS[kind]})
    path = tmp_path / "model.onnx"
    metadata = export(model, path)
    clips = np.random.default_rng(2).standard_normal((2, 4, 3, 32, 32), np.float32)
    expected = model.predict(clips)
    graph = read_graph(path)[0]

    turing = ReferenceEvaluator(linear_as_convolution(inlined(graph)))
    assert_same(_run(turing, metadata, clips, expected), expected)

    half = to_half(inlined(graph), "fp16").graph
    types = {tensor.name: tensor.data_type for tensor in half.initializer}
    kernels = {types[node.input[1]] for node in half.node if node.op_type == "Conv"}
    linears = {types[node.input[1]] for node in half.node if node.op_type == "Gemm"}
    assert kernels == {onnx.TensorProto.FLOAT16} and linears == {onnx.TensorProto.FLOAT}

    int8, fused = tmp_path / "int8.onnx", tmp_path / "fused.onnx"
    quantize(path, int8, list(clips))
    files = [int8]
    if model.config.gate_pooling == "max":  # the maxima are taken of float32
        with pytest.raises(InputError, match="gates on maxima"):
            lower(int8, fused)
    else:
        lower(int8, fused)
        files.append(fused)
    policies = {}
    for file in files:
        with load_engine(file) as engine:
            policies[file] = engine.run(clips).policies
        for policy, exact in zip(policies[file], expected.policies, strict=True):
            assert set(np.unique(policy)) <= {KEEP, *np.unique(exact).tolist()}
            assert np.mean(policy == exact) > 0.8


def _run(
    session: ReferenceEvaluator, metadata: GraphMetadata, clips: np.ndarray, expected: Prediction
) -> Prediction:
    got = dict(zip(metadata.outputs, session.run(metadata.outputs, {"frames": clips}), strict=True))
    policies = [got[policy_name(gate)].astype(np.uint8) for gate in range(len(metadata.gates))]
    return Prediction(got["logits"], got["frame_logits"], policies, expected.macs)
