"""Fused graphs with one attribute or input changed never harm the process that loads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.native.isolation import IsolatedRuntime
from tests.native.mutations import (
    Mutation,
    intermediate_values,
    mutate_attributes,
    mutate_inputs,
    nodes_of,
)

Make = Callable[..., VideoRecognizer]
GRAPHS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("adafuse_tsm_resnet18", "clip", "fp32", {}),
    ("adafuse_tsm_resnet50", "clip", "fp32", {}),
    ("adafuse_tsm_resnet18", "clip", "bf16", {}),
    ("adafuse_tsm_resnet18", "clip", "int8", {}),
    ("adafuse_tsn_bninception", "clip", "fp32", {"num_segments": 2, "size": 64, "width": 1}),
    ("adafuse_tsn_resnet18", "stream", "fp32", {}),
    ("adafuse_tsn_resnet50", "stream", "bf16", {}),
]
SAMPLE = 0.1
"""The share of the mutations that is always tried."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[IsolatedRuntime]:
    runtime = IsolatedRuntime()
    yield runtime
    runtime.close()


def build(
    name: str, mode: str, precision: str, overrides: dict[str, Any], make: Make, folder: Path
) -> onnx.ModelProto:
    """Return a fused graph of a small network."""
    sizes = {"size": 32, "width": 0.125, "num_segments": 3, "num_classes": 5, "gate_hidden": 16}
    model = make(name, **{**sizes, **overrides})
    portable, fused = folder / "portable.onnx", folder / "fused.onnx"
    metadata = export(model, portable, mode=mode)
    if precision == "int8":
        from adafuse_deploy.exporters.quantize import quantize

        floats, portable = portable, folder / "int8.onnx"
        clips = np.random.default_rng(1).standard_normal((2, *metadata.input_shape), np.float32)
        quantize(floats, portable, list(clips))
    lower(portable, fused, precision=precision)
    return onnx.load(fused)


def make_feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Two clips, or the first frames of two streams, with zeros before them."""
    rng = np.random.default_rng(0)
    feeds = {}
    for number, value in enumerate(model.graph.input):
        tensor = value.type.tensor_type
        shape = [dim.dim_value or 2 for dim in tensor.shape.dim]
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        frames = rng.standard_normal(shape).astype(kind) if number == 0 else np.zeros(shape, kind)
        feeds[value.name] = frames
    return feeds


def mutate(
    model: onnx.ModelProto, feeds: dict[str, np.ndarray], runtime: IsolatedRuntime
) -> Iterator[Mutation]:
    for node in nodes_of(model):
        values = intermediate_values(model, node, feeds, runtime.run)
        yield from mutate_attributes(model, node, feeds)
        yield from mutate_inputs(model, node, feeds, values)


def try_all(
    model: onnx.ModelProto, runtime: IsolatedRuntime, share: float
) -> tuple[Counter[str], list[str]]:
    """Return how a share of the mutations ended, and those that ended the process."""
    feeds = make_feeds(model)
    good = runtime.run(model.SerializeToString(), feeds)
    assert good.kind == "ran", good.message
    rng = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    deaths = []
    for mutation in mutate(model, feeds, runtime):
        if rng.random() >= share:
            continue
        outcome = runtime.run(mutation.model, mutation.feeds)
        counts[outcome.kind] += 1
        if outcome.kind == "died":
            deaths.append(f"{mutation}: {outcome.message}")
    assert counts["refused"] > 0
    return counts, deaths


def test_a_sample_does_no_harm(tiny_graph: Path, runtime: IsolatedRuntime, tmp_path: Path) -> None:
    lower(tiny_graph, tmp_path / "fused.onnx")
    _, deaths = try_all(onnx.load(tmp_path / "fused.onnx"), runtime, SAMPLE)
    assert not deaths


@pytest.mark.parametrize(("name", "mode", "precision", "overrides"), GRAPHS)
def test_mutated_graphs_do_no_harm(
    name: str,
    mode: str,
    precision: str,
    overrides: dict[str, Any],
    make_model: Make,
    runtime: IsolatedRuntime,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--all-mutations"):
        pytest.skip("some 6,000 graphs, half an hour; ask for them with --all-mutations")
    model = build(name, mode, precision, overrides, make_model, tmp_path)
    counts, deaths = try_all(model, runtime, 1)
    print(f"{name} {mode} {precision}: {dict(counts)}")
    assert not deaths, "\n".join(deaths)
