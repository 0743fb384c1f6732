"""BN-Inception as a fused graph: everything behind the stem on frames with channels innermost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import adafuse_deploy
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.exporters import onnx_exporter
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.quantize import quantize
from adafuse_deploy.graph.given_policies import force_policies
from adafuse_deploy.graph.read import read_graph
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import (
    assert_same,
    assert_shapes_of_maps_are_known,
    kinds_of,
    maps_of_fused,
    slow,
)

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
    maps_of_fused(onnx.load(path))
    kinds = kinds_of(onnx.load(path))
    assert {"Stem", "FrameConv", "FramePool"} <= kinds
    assert not kinds & {"Conv", "GatedConv", "SkipConv", "MaxPool", "AveragePool", "Where"}
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
        slow("adafuse_tsn_bninception", {"gated_stages": (4,)}),
        slow("tsn_bninception", {}),  # no gates at all
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
    path, forced = tmp_path / "model.bf16.onnx", tmp_path / "forced.onnx"
    metadata, _ = lower(portable, path, precision="bf16")
    clips = np.random.default_rng(1).standard_normal((1, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(portable) as full:
        expected = full.run(clips)
    # Decisions one by one: random networks decide near ties, and what flips changes what follows.
    onnx.save(force_policies(onnx.load(path), expected.policies), forced)
    with adafuse_deploy.load_engine(forced) as engine:
        got = engine.run(clips)
    assert np.abs(got.logits - expected.logits).max() > 0
    pairs = zip(got.policies, expected.policies, strict=True)
    assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > 0.99


@pytest.fixture(scope="module")
def quantised(
    network: tuple[VideoRecognizer, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("quantised") / "inception.int8.onnx"
    shape = read_graph(network[1])[1].input_shape
    random = np.random.default_rng(5)
    quantize(network[1], path, [random.standard_normal(shape, np.float32) for _ in range(2)])
    return path


def test_integers_are_the_quantised_graph(quantised: Path, tmp_path: Path) -> None:
    """lower() itself compares them under the same decisions, to a tenth; here it is closer."""
    path, forced = tmp_path / "model.int8.onnx", tmp_path / "forced.onnx"
    metadata, blocks = lower(quantised, path)
    assert metadata.precision == "int8" and blocks == 10
    model = onnx.load(path)
    kinds = kinds_of(model)
    assert {"QuantizedStem", "QuantizedFrameConv", "QuantizedFramePool"} <= kinds
    left = {"QuantizeLinear", "DequantizeLinear", "Conv", "GatedConv", "SkipConv", "AveragePool"}
    assert not left & kinds
    clips = np.random.default_rng(1).standard_normal((2, *metadata.input_shape), np.float32)
    with adafuse_deploy.load_engine(quantised, operator_library=False) as plain:
        expected = plain.run(clips)
    onnx.save(force_policies(model, expected.policies), forced)
    results = []
    for threads in (1, 2):
        with adafuse_deploy.load_engine(forced, threads=threads) as engine:
            results.append(engine.run(clips))
    np.testing.assert_array_equal(results[0].frame_logits, results[1].frame_logits)
    pairs = zip(results[0].policies, expected.policies, strict=True)
    assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > 0.99
    rms = np.sqrt(np.mean(expected.logits**2))
    assert np.abs(results[0].logits - expected.logits).max() < 0.02 * rms


@pytest.mark.slow
def test_integers_without_gates(make_model: Make, tmp_path: Path) -> None:
    """Pooled inputs go from one concatenation to the next, whose scale is another."""
    model = make_model("tsn_bninception", **{**SMALL, "num_segments": 2, "size": 64})
    portable, rounded = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    metadata = onnx_exporter.export(model, portable)
    clip = np.random.default_rng(0).standard_normal(metadata.input_shape, np.float32)
    quantize(portable, rounded, [clip])
    path = tmp_path / "model.int8.cpu.onnx"
    assert lower(rounded, path)[1] == 10
    with (
        adafuse_deploy.load_engine(path) as engine,
        adafuse_deploy.load_engine(rounded, operator_library=False) as plain,
    ):
        got, expected = engine.run(clip[None]), plain.run(clip[None])
    rms = np.sqrt(np.mean(expected.logits**2))
    assert np.abs(got.logits - expected.logits).max() < 0.02 * rms


def test_parts_with_scales_of_their_own_are_refused(quantised: Path, tmp_path: Path) -> None:
    model = onnx.load(quantised)
    joins = [node for node in model.graph.node if node.op_type == "Concat"]
    part = next(name for join in joins for name in join.input if name.startswith("relu"))
    constants = [
        onnx.numpy_helper.from_array(np.array(3, np.float32), "own_scale"),
        onnx.numpy_helper.from_array(np.array(0, np.uint8), "own_zero"),
    ]
    model.graph.initializer.extend(constants)
    place = next(i for i, node in enumerate(model.graph.node) if part in node.output) + 1
    for i, (kind, source, made) in enumerate(
        [("QuantizeLinear", part, "own"), ("DequantizeLinear", "own", "own_part")]
    ):
        node = onnx.helper.make_node(kind, [source, "own_scale", "own_zero"], [made])
        model.graph.node.insert(place + i, node)
    for join in joins:
        join.input[:] = ["own_part" if name == part else name for name in join.input]
    path = tmp_path / "mixed.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match="different scales; quantise with"):
        lower(path, tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["mixed.onnx"]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_runtime_knows_the_shapes_of_frames(
    precision: str, network: tuple[VideoRecognizer, Path], quantised: Path, tmp_path: Path
) -> None:
    """It ignores errors of shape inference, and would not reuse memory without."""
    path = tmp_path / "model.cpu.onnx"
    lower(quantised if precision == "int8" else network[1], path, precision=precision)
    assert_shapes_of_maps_are_known(path)
