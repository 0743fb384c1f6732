"""Gates of every kind in fused graphs, of clips and of streams, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import SHALLOW, assert_same, kinds_of, slow

Make = Callable[..., VideoRecognizer]
SMALL: dict[str, Any] = {
    "size": 32,
    "width": 0.125,
    "num_segments": 3,
    "num_classes": 5,
    "gate_hidden": 16,
    "gated_stages": (2, 4),
}
# Options, whether the policy network is a fused operator, its attributes, and what it chooses.
KINDS: dict[str, tuple[dict[str, Any], bool, dict[str, Any], set[int]]] = {
    "usual": ({}, True, {}, {KEEP, REUSE, SKIP}),
    "keep or reuse": (
        {"gate_actions": ("keep", "reuse")},
        True,
        {"actions": [KEEP, REUSE]},
        {KEEP, REUSE},
    ),
    "keep or skip": (
        {"gate_actions": ("keep", "skip")},
        True,
        {"actions": [KEEP, SKIP]},
        {KEEP, SKIP},
    ),
    "no ReLU": ({"gate_relu": False}, True, {"relu": 0}, {KEEP, REUSE, SKIP}),
    "keep or skip, no ReLU": (
        {"gate_actions": ("keep", "skip"), "gate_relu": False},
        True,
        {"actions": [KEEP, SKIP], "relu": 0},
        {KEEP, SKIP},
    ),
    "one layer": ({"gate_layers": 1}, False, {}, {KEEP, REUSE, SKIP}),
    # The last two layers are one operator, which reads what the first gives.
    "three layers": ({"gate_layers": 3}, True, {}, {KEEP, REUSE, SKIP}),
    "maximum": ({"gate_pooling": "max"}, True, {}, {KEEP, REUSE, SKIP}),
}

FAST = {"usual", "keep or reuse", "keep or skip, no ReLU", "three layers"}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, "clip") if kind in FAST else slow(kind, "clip") for kind in KINDS),
        *(slow(kind, "stream") for kind in KINDS),
    ],
)
def test_gates_of_every_kind(kind: str, mode: str, make_model: Make, tmp_path: Path) -> None:
    options, fused, attributes, actions = KINDS[kind]
    system = "tsm" if mode == "clip" else "tsn"
    model = make_model(f"adafuse_{system}_resnet18", **{**SMALL, **options})
    portable, path = tmp_path / "portable.onnx", tmp_path / "fused.onnx"
    metadata = export(model, portable, mode=mode)
    assert lower(portable, path)[1] == sum(SHALLOW)
    graph = onnx.load(path)
    assert ("PolicyNetwork" in kinds_of(graph), "ArgMax" in kinds_of(graph)) == (fused, not fused)
    for node in (node for node in graph.graph.node if node.op_type == "PolicyNetwork"):
        given = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        assert given == {"frames": 3 if mode == "clip" else 1, **attributes}
    clips = np.random.default_rng(0).standard_normal((2, *metadata.input_shape), np.float32)
    if mode == "stream":
        clips = np.random.default_rng(0).standard_normal((2, 3, 3, 32, 32), np.float32)
    expected = model.predict(clips)
    assert set(np.unique(np.concatenate([p.ravel() for p in expected.policies]))) == actions
    with load_engine(path) as engine:
        assert_same(engine.run(clips), expected)
