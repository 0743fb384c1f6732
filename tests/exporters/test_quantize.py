"""Post-training quantisation: what is rounded, how, and that every runtime reads it the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

import adafuse_deploy
from adafuse_deploy.core.errors import InputError, NotFiniteError
from adafuse_deploy.exporters.calibration import Ranges
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.exporters.quantize import QuantizeOptions, quantize
from adafuse_deploy.graph.qdq.insertion import quantize_weight
from adafuse_deploy.graph.qdq.points import (
    CONVOLUTIONS,
    activation_points,
    picture_point,
    weight_points,
)
from adafuse_deploy.graph.qdq.removal import take_quantisation
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.graph.values import constant, given, only_read_by, producer
from tests.support import SHALLOW, kinds_of, run_cli


def clips_for(graph: Path, count: int = 3) -> list[np.ndarray]:
    shape = read_graph(graph)[1].input_shape
    random = np.random.default_rng(5)
    return [random.standard_normal(shape, np.float32) for _ in range(count)]


@pytest.fixture(scope="module")
def report(tiny_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("quantized") / "tiny.int8.onnx"
    return {"path": path, **quantize(tiny_graph, path, clips_for(tiny_graph))}


def test_feature_maps_are_rounded_once_for_all_readers(report: dict[str, Any]) -> None:
    model, metadata = read_graph(report["path"])
    graph = ir.from_proto(model).graph
    convolved = {given(node, 0) for node in graph if node.op_type in CONVOLUTIONS}
    for value in set().union(*map(rounded_from, convolved)):
        quantize_node = producer(value, "QuantizeLinear")
        assert quantize_node is not None
        source, zero = given(quantize_node, 0), given(quantize_node, 2)
        assert only_read_by(source, quantize_node)
        kind = np.int8 if source.name == picture_of(graph) else np.uint8
        assert constant(zero).dtype == kind and not constant(zero).any()
    weights = {node.inputs[1] for node in graph if node.op_type in CONVOLUTIONS}
    assert all(constant(given(value.producer(), 0)).dtype == np.int8 for value in weights)
    assert metadata.precision == "int8"
    assert metadata.calibration["clips"] == 3 and metadata.calibration["calibrator"] == "max"
    # Policies, pooled features and the classifier are left alone.
    linear = (value for node in graph if node.op_type == "Gemm" for value in node.inputs)
    assert not any(producer(value, "DequantizeLinear") for value in linear)


def rounded_from(value: ir.Value) -> set[ir.Value]:
    """Return the integers that ``value`` comes from, over nothing but moves and maxima."""
    maker = value.producer()
    assert maker is not None, f"{value.name} is convolved as it is"
    if maker.op_type == "DequantizeLinear":
        return {given(maker, 0)}
    assert maker.op_type in {"Reshape", "Slice", "Pad", "Concat", "MaxPool"}, value.name
    moved = maker.inputs if maker.op_type == "Concat" else maker.inputs[:1]
    return set().union(*(rounded_from(source) for source in moved if source is not None))


def picture_of(graph: ir.Graph) -> str | None:
    """What the first Q/DQ pair rounds: the only feature map with values below zero."""
    first = next(node for node in graph if node.op_type == "QuantizeLinear")
    return given(first, 0).name


def test_weights_are_symmetric_per_output() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 4, 3, 3), np.float32)
    weight *= np.array([1, 10, 0.1, 0, 5, 2], np.float32)[:, None, None, None]
    integers, scale = quantize_weight(weight)
    assert integers.dtype == np.int8 and integers.min() >= -127
    most = np.abs(integers.reshape(6, -1).astype(int)).max(1)
    assert (most == [127, 127, 127, 0, 127, 127]).all() and scale[3] == 1
    error = np.abs(integers * scale[:, None, None, None] - weight).reshape(6, -1).max(1)
    assert (error <= scale / 2 * 1.0001).all()


def test_every_runtime_gives_the_same(report: dict[str, Any]) -> None:
    clip = clips_for(report["path"], 1)[0][None]
    with adafuse_deploy.load_engine(report["path"], operator_library=False) as plain:
        expected = plain.run(clip)
    # Without VNNI, OpenVINO saturates sums of two products and has no option against it.
    for settings, least in (({"operator_library": True}, 0.98), ({"backend": "openvino"}, 0.96)):
        with adafuse_deploy.load_engine(report["path"], **settings) as engine:
            got = engine.run(clip)
        pairs = list(zip(got.policies, expected.policies, strict=True))
        assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > least
        assert np.abs(got.logits - expected.logits).max() < 0.3 * expected.logits.std()


def test_openvino_multiplies_integers(tiny_graph: Path, report: dict[str, Any]) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    model, metadata = read_graph(report["path"])
    network = core.read_model(inlined(model).SerializeToString())
    network.reshape([1, *metadata.input_shape])
    compiled = core.compile_model(network, "CPU")
    kinds = Counter(
        node.get_rt_info()["runtimePrecision"].value
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].value == "Convolution"
    )
    assert kinds["u8"] + kinds["i8"] > 0.8 * sum(kinds.values()), kinds


def test_report(report: dict[str, Any], tiny_graph: Path) -> None:
    assert report["policy_agreement"] > 90 and 0 < report["logits_error"] < 1
    graph = ir.from_proto(onnx.load(tiny_graph)).graph
    picture = picture_point(graph)
    rounded = {"activation": [picture, *activation_points(graph)], "weight": weight_points(graph)}
    for kind, values in rounded.items():
        told = {layer["name"] for layer in report["layers"] if layer["kind"] == kind}
        assert told == {value.name for value in values if value is not None} and told
    for layer in report["layers"]:
        assert 25 < layer["sqnr_db"] < 70, layer


def test_fused_integers_are_the_quantised_graph(report: dict[str, Any], tmp_path: Path) -> None:
    """lower() itself compares them under the same decisions, to a tenth; here it is closer."""
    path = tmp_path / "tiny.cpu.onnx"
    metadata, blocks = lower(report["path"], path)
    assert metadata.precision == "int8" and blocks == sum(SHALLOW)
    kinds = kinds_of(onnx.load(path))
    assert {"QuantizedConditionalBasicBlock", "QuantizedStem"} <= kinds
    assert not {"QuantizeLinear", "DequantizeLinear", "Conv", "GatedConv", "SkipConv"} & kinds
    assert path.stat().st_size < 0.7 * report["path"].stat().st_size + 1e5
    clip = clips_for(report["path"], 1)[0][None]
    with adafuse_deploy.load_engine(report["path"], operator_library=False) as plain:
        expected = plain.run(clip)
    results = []
    for threads in (1, 2):
        with adafuse_deploy.load_engine(path, threads=threads) as engine:
            results.append(engine.run(clip))
    np.testing.assert_array_equal(results[0].frame_logits, results[1].frame_logits)
    pairs = list(zip(results[0].policies, expected.policies, strict=True))
    assert np.mean([np.mean(ours == theirs) for ours, theirs in pairs]) > 0.98


@pytest.mark.slow
def test_bottlenecks_in_integers(make_model: Any, tmp_path: Path) -> None:
    model = make_model("adafuse_tsm_resnet50", width=0.25, num_segments=3, num_classes=6, size=64)
    portable, quantized, path = (tmp_path / name for name in ("a.onnx", "b.onnx", "c.onnx"))
    export(model, portable)
    quantize(portable, quantized, clips_for(portable, 2))
    assert lower(quantized, path)[1] == sum(SHALLOW)


def test_calibrators() -> None:
    values = {"map": np.concatenate([np.linspace(0, 1, 10_000), [50.0]])}
    largest, common = Ranges("max"), Ranges("percentile", 99.9)
    for ranges in (largest, common):
        ranges.measure(values)
        ranges.measure({"map": np.zeros(3)})
    common.count(values)
    assert largest.magnitude("map") == 50
    assert 0.9 < common.magnitude("map") < 1.1
    silent = Ranges()
    silent.measure({"map": np.zeros(3)})
    assert silent.magnitude("map") == 1


def test_what_cannot_be_quantised(tiny_graph: Path, report: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "new.onnx"
    with pytest.raises(InputError, match="portable float32 graph"):
        quantize(report["path"], target, clips_for(tiny_graph, 1))
    with pytest.raises(InputError, match="needs clips"):
        quantize(tiny_graph, target, [])
    with pytest.raises(InputError, match="Calibrators are"):
        quantize(tiny_graph, target, clips_for(tiny_graph, 1), QuantizeOptions("entropy"))
    with pytest.raises(InputError, match="percentile"):
        Ranges("percentile", 0)
    with pytest.raises(InputError, match="uint8 or int8"):
        QuantizeOptions(activations="int4")
    with pytest.raises(InputError, match="not quantised"):
        lower(tiny_graph, target, precision="int8")
    with pytest.raises(InputError, match="built in int8"):
        lower(report["path"], target, precision="bf16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", ["backbone.conv1.conv.weight", "consensus.fc.weight"])
def test_a_network_that_overflows_is_refused(layer: str, tiny_graph: Path, tmp_path: Path) -> None:
    """Where features do, and where only the logits do: an error of 0 would be a lie."""
    model, path = onnx.load(tiny_graph), tmp_path / "overflows.onnx"
    (tensor,) = (t for t in model.graph.initializer if t.name.endswith(layer))
    values = np.full(tuple(tensor.dims), 3e38, np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    with pytest.raises(NotFiniteError, match="NaN or inf"):
        quantize(path, tmp_path / "new.onnx", clips_for(tiny_graph, 1))
    assert list(tmp_path.iterdir()) == [path]


def test_signed_feature_maps_are_for_tensorrt(tiny_graph: Path, tmp_path: Path) -> None:
    path = tmp_path / "signed.onnx"
    quantize(tiny_graph, path, clips_for(tiny_graph, 1), QuantizeOptions(activations="int8"))
    found = take_quantisation(ir.from_proto(onnx.load(path)).graph)
    assert found.signed == set(found.scales) and found.signed
    with pytest.raises(InputError, match="--activations uint8"):
        lower(path, tmp_path / "cpu.onnx")
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "frames"


def test_command_line(
    tiny_graph: Path, listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, report = tmp_path / "tiny.int8.onnx", tmp_path / "report.json"
    arguments = ("quantize", tiny_graph, "--data", listing, "-o", target, "--json", report)
    assert run_cli(*arguments, "--calibrator", "percentile", "--clips", 2) == 0
    assert "Least precise" in capsys.readouterr().out
    assert json.loads(report.read_text())["percentile"] == 99.99
    assert run_cli("inspect", target) == 0
    assert "precision: int8" in " ".join(capsys.readouterr().out.split())
