"""Graphs rewritten for builders: half precision, and convolutions for linear layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.half_precision import to_half
from adafuse_deploy.graph.read import inlined, read_graph
from adafuse_deploy.graph.without_gemm import linear_as_convolution
from tests.support import kinds_of

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@pytest.fixture(scope="module")
def graph(tiny_graph: Path) -> onnx.ModelProto:
    return inlined(read_graph(tiny_graph)[0])


def run(model: onnx.ModelProto, frames: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frames": frames}), strict=True))


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    weights = {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return {**weights, **{value.name: value.type.tensor_type.elem_type for value in values}}


def test_inlined_graph_is_standard(graph: onnx.ModelProto) -> None:
    assert len(graph.functions) == 0
    assert {node.domain for node in graph.graph.node} == {""}
    assert [entry.domain for entry in graph.opset_import] == [""]
    strides = {
        tuple(attribute.ints)
        for node in graph.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "strides"
    }
    assert strides == {(1, 1), (2, 2)}  # attributes by reference arrived


@pytest.fixture(scope="module", params=TYPES)
def half(request: pytest.FixtureRequest, graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in each half precision."""
    return to_half(graph, request.param)


def test_half_graph_is_valid_and_keeps_its_interface(
    graph: onnx.ModelProto, half: onnx.ModelProto
) -> None:
    onnx.checker.check_model(half, full_check=True)
    for side in ("input", "output"):
        before, after = getattr(graph.graph, side), getattr(half.graph, side)
        assert [(v.name, v.type) for v in before] == [(v.name, v.type) for v in after]
    assert half.ByteSize() < 0.8 * graph.ByteSize()


@pytest.mark.parametrize("precision", TYPES)
def test_convolutions_are_half_and_decisions_single(graph: onnx.ModelProto, precision: str) -> None:
    half = to_half(graph, precision)
    kinds = types(half)
    seen: dict[str, set[int]] = {}
    for node in half.graph.node:
        seen.setdefault(node.op_type, set()).update(kinds[name] for name in node.input if name)
    assert seen["Conv"] == seen["MaxPool"] == {TYPES[precision]}
    assert seen["Gemm"] == {TensorProto.FLOAT}
    assert seen["ArgMax"] == {TensorProto.FLOAT}
    assert seen["ReduceMean"] == {TensorProto.FLOAT, TensorProto.INT64}


def test_no_value_of_a_decision_passes_through_half(half: onnx.ModelProto) -> None:
    """Between a pooled feature map and the argmax there is no cast."""
    producers = {name: node for node in half.graph.node for name in node.output}
    pending = [node for node in half.graph.node if node.op_type == "ArgMax"]
    assert pending
    kinds = set()
    while pending:
        node = pending.pop()
        kinds.add(node.op_type)
        if node.op_type != "ReduceMean":
            pending += [producers[name] for name in node.input if name in producers]
    assert "ReduceMean" in kinds
    assert "Cast" not in kinds
    assert "Conv" not in kinds


@pytest.mark.parametrize("precision", TYPES)
def test_weights_are_rounded_to_nearest_even(graph: onnx.ModelProto, precision: str) -> None:
    half = to_half(graph, precision)
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    exact = {tensor.name: tensor for tensor in graph.graph.initializer}
    rounded = [tensor for tensor in half.graph.initializer if tensor.data_type == TYPES[precision]]
    assert rounded
    for tensor in rounded:
        values = numpy_helper.to_array(exact[tensor.name.removesuffix("_half")]).copy()
        expected = torch.from_numpy(values).to(kind).float().numpy()
        got = numpy_helper.to_array(tensor).astype(np.float32)
        np.testing.assert_array_equal(got, expected)


def run_reference(model: onnx.ModelProto, frames: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in model.graph.output]
    results = ReferenceEvaluator(model).run(names, {"frames": frames})
    return dict(zip(names, results, strict=True))


@pytest.mark.parametrize(
    ("precision", "run_half", "limit"),
    [("fp16", run, 0.05), ("fp16", run_reference, 0.05), ("bf16", run_reference, 0.1)],
)
def test_half_graph_agrees(
    graph: onnx.ModelProto,
    tiny_clips: np.ndarray,
    precision: str,
    run_half: Callable[[onnx.ModelProto, np.ndarray], dict[str, np.ndarray]],
    limit: float,
) -> None:
    """ONNX Runtime may compute float16 in float32 and has no bfloat16 convolution; the reference
    rounds after every operator.
    """
    expected, got = run(graph, tiny_clips), run_half(to_half(graph, precision), tiny_clips)
    policies = [name for name in expected if name.startswith("policy")]
    agreement = np.mean([np.mean(expected[name] == got[name]) for name in policies])
    assert agreement > 0.99
    rms = np.sqrt(np.mean(expected["logits"] ** 2))
    assert np.abs(got["logits"] - expected["logits"]).max() < limit * rms
    assert got["logits"].dtype == np.float32


def test_weight_beyond_half(graph: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = -1e5
    weight.CopyFrom(numpy_helper.from_array(values, name))
    with pytest.raises(InputError, match=f"weight {name} reaches beyond fp16"):
        to_half(model, "fp16")
    to_half(model, "bf16")  # which reaches as far as float32


def test_linear_layers_as_convolutions(graph: onnx.ModelProto, tiny_clips: np.ndarray) -> None:
    rewritten = linear_as_convolution(graph)
    onnx.checker.check_model(rewritten, full_check=True)
    assert "Gemm" not in kinds_of(rewritten)
    expected, got = run(graph, tiny_clips), run(rewritten, tiny_clips)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-5, rtol=1e-5)
