"""BN-Inception as a fused graph: everything behind the stem on frames with channels innermost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import adafuse_deploy
from adafuse_deploy.engines.lowering.build import lower
from adafuse_deploy.exporters import onnx_exporter
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.ops import library
from tests.support import assert_same

Make = Callable[..., VideoRecognizer]
SMALL: dict[str, Any] = {"num_segments": 3, "num_classes": 6, "gate_hidden": 16}


@pytest.fixture(scope="module")
def network(
    make_model: Make, tmp_path_factory: pytest.TempPathFactory
) -> tuple[VideoRecognizer, Path]:
    """A network whose last frames have an odd size, and its portable graph."""
    model = make_model("adafuse_tsn_bninception", **SMALL, size=96)
    path = tmp_path_factory.mktemp("inception") / "inception.onnx"
    onnx_exporter.export(model, path)
    return model, path


def test_fused_networks_equal_pytorch(
    network: tuple[VideoRecognizer, Path], tmp_path: Path
) -> None:
    model, portable = network
    path = tmp_path / "model.cpu.onnx"
    metadata, blocks = lower(portable, path)
    assert blocks == 10
    nodes = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert nodes["Stem"] == 1 and nodes["FrameConv"] == 68 and nodes["FramePool"] == 42
    left = {"Conv", "GatedConv", "SkipConv", "MaxPool", "AveragePool", "Where", "Transpose"}
    assert not left & set(nodes)
    clips = np.random.default_rng(0).standard_normal((2, *metadata.input_shape), np.float32)
    expected = model.predict(clips)
    actions = np.concatenate([policy.ravel() for policy in expected.policies])
    assert np.bincount(actions, minlength=3).min() > 0.1 * actions.size
    results = []
    for threads in (1, 2):
        with adafuse_deploy.load_engine(path, threads=threads) as engine:
            results.append(engine.run(clips))
    for result in results:
        assert_same(result, expected)
    np.testing.assert_array_equal(results[0].logits, results[1].logits)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("adafuse_tsn_bninception", {"gated_stages": (4,)}),
        ("tsn_bninception", {}),  # no gates at all
    ],
)
def test_stages_without_gates(
    name: str, overrides: dict[str, Any], make_model: Make, tmp_path: Path
) -> None:
    model = make_model(name, **{**SMALL, "num_segments": 2, "size": 64, **overrides})
    portable, path = tmp_path / "model.onnx", tmp_path / "model.cpu.onnx"
    metadata = onnx_exporter.export(model, portable)
    assert lower(portable, path)[1] == 10
    clips = np.random.default_rng(0).standard_normal((1, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(path) as engine:
        assert_same(engine.run(clips), model.predict(clips))


def test_bfloat16(network: tuple[VideoRecognizer, Path], tmp_path: Path) -> None:
    _, portable = network
    path = tmp_path / "model.bf16.onnx"
    metadata, _ = lower(portable, path, precision="bf16")  # compares under the same decisions
    clips = np.random.default_rng(1).standard_normal((1, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(path) as engine, adafuse_deploy.load_engine(portable) as full:
        got, expected = engine.run(clips), full.run(clips)
    assert np.abs(got.logits - expected.logits).max() > 0
    pairs = zip(got.policies, expected.policies, strict=True)
    assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > 0.9


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_runtime_knows_the_shapes_of_frames(
    precision: str, network: tuple[VideoRecognizer, Path], tmp_path: Path
) -> None:
    """It ignores errors of shape inference, and would not reuse memory without."""
    path = tmp_path / "model.cpu.onnx"
    lower(network[1], path, precision=precision)
    model = onnx.load(path)
    fused = ("Stem", "FrameConv", "FramePool")
    frames = [node.output[0] for node in model.graph.node if node.op_type in fused]
    for name in frames:
        kind = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        model.graph.output.append(onnx.helper.make_value_info(name, kind))
    options = onnxruntime.SessionOptions()
    library.register(options)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    shapes = {value.name: value.shape for value in session.get_outputs()}
    for name in frames:
        assert len(shapes[name]) == 4 and all(isinstance(size, int) for size in shapes[name][1:])
