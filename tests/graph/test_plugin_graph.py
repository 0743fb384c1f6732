"""Graphs for TensorRT's parser whose residual blocks are plugins, against the portable graph."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from adafuse_deploy.core.metadata import GraphMetadata, policy_name
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.graph.half_precision import to_half
from adafuse_deploy.graph.plugins import OPERATOR
from adafuse_deploy.graph.plugins.lower import PluginGraph, for_plugins
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.graph.plugin_reference import GatedResidualBlock
from tests.support import SHALLOW, slow

Make = Callable[..., VideoRecognizer]
FRAMES = 3
SMALL: dict[str, Any] = {
    "size": 64,
    "num_segments": FRAMES,
    "num_classes": 4,
    "gate_hidden": 24,
    "depths": SHALLOW,
}


def lower(path: Path, precision: str = "fp32") -> tuple[PluginGraph, GraphMetadata]:
    model, metadata = read_graph(path)
    half = to_half(model, precision) if precision == "fp16" else model
    return for_plugins(half, metadata.config.num_segments, precision, 4), metadata


def plugins(model: onnx.ModelProto) -> list[dict[str, Any]]:
    """Return the attributes of each plugin."""
    return [
        {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        for node in model.graph.node
        if node.op_type == OPERATOR
    ]


def check(graph: PluginGraph, metadata: GraphMetadata, path: Path, tolerance: float) -> None:
    """Compare a graph with plugins with the portable one it was made from."""
    flat = inlined(graph.model, (OPERATOR,))
    clips = np.random.default_rng(1).standard_normal((2, FRAMES, 3, 64, 64), np.float32)
    session = ReferenceEvaluator(flat, new_ops=[GatedResidualBlock])
    got = dict(zip(metadata.outputs, session.run(metadata.outputs, {"frames": clips}), strict=True))
    with load_engine(path, operator_library=False) as engine:
        expected = engine.run(clips)
    same = [
        np.mean(got[policy_name(gate)] == policy) for gate, policy in enumerate(expected.policies)
    ]
    assert min(same) > (0.999 if tolerance < 1e-2 else 0.98), same
    scale = np.sqrt(np.mean(expected.logits**2))
    np.testing.assert_allclose(got["logits"], expected.logits, atol=tolerance * scale)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 5e-2)])
def test_basic_blocks(served_graph: Path, precision: str, tolerance: float) -> None:
    graph, metadata = lower(served_graph, precision)
    assert (graph.blocks, graph.left) == (5, ())
    found = plugins(graph.model)
    # The first is summed by itself, every other one by the block before; units are filled up.
    assert [entry["summed"] for entry in found] == [0, 1, 1, 1, 1]
    assert {entry["hidden"] for entry in found} == {32}
    assert [entry["project"] for entry in found] == [0, 0, 1, 1, 1]
    check(graph, metadata, served_graph, tolerance)


def test_only_the_ends_leave_the_frames(served_graph: Path) -> None:
    """Between blocks nothing but plugins reads what plugins give."""
    graph, _ = lower(served_graph)
    gives = {
        name: node for node in graph.model.graph.node if node.op_type == OPERATOR
        for name in node.output[:2]
    }  # fmt: skip
    readers: dict[str, set[str]] = {}
    for node in graph.model.graph.node:
        for name in set(node.input) & gives.keys():
            readers.setdefault(gives[name].name, set()).add(node.op_type)
    *inner, last = readers.values()
    assert all(kinds == {OPERATOR} for kinds in inner) and last == {"Slice"}
    kinds = {node.op_type for node in graph.model.graph.node}
    assert not kinds & {"GatedConv", "SkipConv", "ArgMax"}


@pytest.mark.slow
def test_bottlenecks(make_model: Make, tmp_path: Path) -> None:
    path = tmp_path / "bottlenecks.onnx"
    options = {**SMALL, "depths": (1, 1, 1, 2), "size": 64, "shift_place": "conv1"}
    export(make_model("adafuse_tsm_resnet50", **options), path)
    graph, metadata = lower(path)
    # The last stage gives 2 x 2 pixels: too few for a tile's sums.
    (reason,) = graph.left
    assert graph.blocks == 3 and reason.startswith("2 gated blocks are left") and "small" in reason
    assert {entry["shift_shortcut"] for entry in plugins(graph.model)} == {0}
    check(graph, metadata, path, 1e-4)


KINDS: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "keep or skip, online": (
        {"gate_actions": ("keep", "skip"), "temporal_shift": "online"},
        5,
        None,
    ),
    "maximum, later stages": (
        {"gate_pooling": "max", "gated_stages": (3, 4)},
        2,
        "2 gates are left to TensorRT's layers: a gate does not read means over space.",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_gates_of_every_kind(kind: str, make_model: Make, tmp_path: Path) -> None:
    options, blocks, left = KINDS[kind]
    path = tmp_path / "model.onnx"
    export(make_model("adafuse_tsm_resnet18", **{**SMALL, **options}), path)
    graph, metadata = lower(path)
    assert graph.blocks == blocks
    assert (left is None) == (graph.left == ())
    assert left is None or left in graph.left[0]
    check(graph, metadata, path, 1e-4)


def check_left(path: Path, words: str) -> None:
    """Nothing is a plugin in a graph, and one sentence says why."""
    graph, _ = lower(path)
    assert graph.blocks == 0 and graph.model == read_graph(path)[0]
    (reason,) = graph.left
    assert re.match(words, reason), reason


def test_narrow_networks_are_left(tiny_graph: Path) -> None:
    check_left(
        tiny_graph, r"5 gated blocks are left .* every channel: .* multiples of 64, and at most"
    )


SECOND = r"\d+ conditional convolutions are left .* residual blocks with one gate\.$"


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        (
            "adafuse_tsm_resnet18",
            {"size": 32, "width": 0.125, "dense_gates": True, "gated_stages": (4,)},
        ),
        slow("adafuse_tsn_bninception", {"size": 64, "gated_stages": (4,)}),
    ],
)
def test_second_gates_and_inception_are_left(
    arch: str, options: dict[str, Any], make_model: Make, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    rest = {"num_segments": 2, "num_classes": 4, "gate_hidden": 16}
    export(make_model(arch, **rest, **options), path)
    check_left(path, SECOND)


def test_attributes_are_those_that_the_library_reads(served_graph: Path) -> None:
    source = Path(__file__).parents[2] / "native" / "tensorrt" / "block_fields.h"
    names = re.findall(r'\{"(\w+)", \d', source.read_text())
    assert {"bottleneck", "actions", "summed"} <= set(names) and len(names) == 15
    for entry in plugins(lower(served_graph)[0].model):
        assert entry.keys() == {*names, "plugin_namespace", "plugin_version"}
