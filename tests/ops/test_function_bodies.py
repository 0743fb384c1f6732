"""One meaning per operator: PyTorch, the function bodies in every runtime, and a naive loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import helper

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.ops import onnx_ops
from adafuse_deploy.ops.conv import gated_conv, skip_conv
from adafuse_deploy.ops.onnx_definition import OPSET
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION
from tests.ops.runtimes import RUNTIMES, Arrays

CASES = [
    # clips, frames, inputs, outputs, kernel, stride, padding, size
    (2, 4, 3, 5, 3, 1, 1, (6, 5)),
    (1, 3, 4, 2, 3, 2, 1, (7, 8)),
    (2, 1, 2, 3, 1, 1, 0, (4, 4)),
    (1, 5, 1, 4, 5, 3, 2, (9, 9)),
]


def _case(case: tuple, seed: int) -> tuple[Arrays, dict[str, list[int]]]:  # type: ignore[type-arg]
    clips, frames, inputs, outputs, kernel, stride, padding, size = case
    rng = np.random.default_rng(seed)
    input_policy = rng.integers(0, 3, (clips, frames, inputs)).astype(np.int32)
    x = rng.standard_normal((clips, frames, inputs, *size)).astype(np.float32)
    x[input_policy == SKIP] = 0  # what the promise says
    x[:, 0][input_policy[:, 0] == REUSE] = 0
    arrays = {
        "X": x.reshape(-1, inputs, *size),
        "W": rng.standard_normal((outputs, inputs, kernel, kernel)).astype(np.float32),
        "B": rng.standard_normal(outputs).astype(np.float32),
        "policy": rng.integers(0, 3, (clips, frames, outputs)).astype(np.int32),
        "input_policy": input_policy,
    }
    return arrays, {"strides": [stride] * 2, "pads": [padding] * 4}


def _expected(kind: str, arrays: Arrays, attributes: dict[str, list[int]]) -> np.ndarray:
    raw = F.conv2d(
        torch.from_numpy(arrays["X"]).double(),
        torch.from_numpy(arrays["W"]).double(),
        torch.from_numpy(arrays["B"]).double(),
        attributes["strides"][0],
        attributes["pads"][0],
    ).numpy()
    if kind == "SkipConv":
        return raw
    policy = arrays["policy"]
    frames = policy.shape[1]
    fused = np.zeros_like(raw)
    for row in range(len(raw)):
        for channel in range(raw.shape[1]):
            action = policy[row // frames, row % frames, channel]
            if action == KEEP:
                fused[row, channel] = raw[row, channel]
            elif action == REUSE and row % frames:
                fused[row, channel] = raw[row - 1, channel]
    return fused


def _model(
    kind: str, inputs: list[str], attributes: dict[str, list[int]], arrays: Arrays
) -> onnx.ModelProto:
    node = helper.make_node(kind, inputs, ["Y"], domain=DOMAIN, **attributes)
    inputs = [name for name in inputs if name and name not in ("W", "B")]
    kinds = {name: onnx.TensorProto.FLOAT for name in inputs}
    kinds |= {name: onnx.TensorProto.INT32 for name in inputs if "policy" in name}
    ranks = {"X": 4, "policy": 3, "input_policy": 3}
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info(n, kinds[n], [None] * ranks[n]) for n in inputs],
        [helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [None] * 4)],
        [onnx.numpy_helper.from_array(arrays[name], name) for name in ("W", "B")],
    )
    opsets = [
        helper.make_opsetid("", OPSET),
        helper.make_opsetid(DOMAIN, VERSION),
    ]
    model = helper.make_model(
        graph, functions=onnx_ops.function_bodies(), opset_imports=opsets, ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    return model


SIGNATURES = [
    ("GatedConv", ["X", "W", "B", "policy", ""]),
    ("GatedConv", ["X", "W", "B", "policy", "input_policy"]),
    ("SkipConv", ["X", "W", "B", "input_policy"]),
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("kind", "inputs"), SIGNATURES)
@pytest.mark.parametrize("case", CASES)
def test_bodies_in_every_runtime(
    runtime: Callable[..., np.ndarray],
    kind: str,
    inputs: list[str],
    case: tuple,  # type: ignore[type-arg]
) -> None:
    arrays, attributes = _case(case, seed=CASES.index(case))
    model = _model(kind, inputs, attributes, arrays)
    (result,) = runtime(model, {value.name: arrays[value.name] for value in model.graph.input})
    np.testing.assert_allclose(result, _expected(kind, arrays, attributes), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_pytorch_operators(case: tuple) -> None:  # type: ignore[type-arg]
    arrays, attributes = _case(case, seed=10 + CASES.index(case))
    x, w, b, policy, promise = (torch.from_numpy(arrays[n]) for n in SIGNATURES[1][1])
    stride, padding = attributes["strides"], attributes["pads"][:2]
    gated = _expected("GatedConv", arrays, attributes)
    for optional in (None, promise):
        got = gated_conv(x, w, b, policy, optional, stride, padding)
        np.testing.assert_allclose(got, gated, rtol=1e-4, atol=1e-4)
    got = skip_conv(x, w, b, promise, stride, padding)
    np.testing.assert_allclose(got, _expected("SkipConv", arrays, attributes), rtol=1e-4, atol=1e-4)


def test_pytorch_operators_are_well_formed() -> None:
    """Schema, fake implementation and tracing agree with the real operator."""
    arrays, attributes = _case(CASES[0], seed=20)
    x, w, b, policy, promise = (torch.from_numpy(arrays[n]) for n in SIGNATURES[1][1])
    rest = (attributes["strides"], attributes["pads"][:2])
    torch.library.opcheck(gated_conv, (x, w, b, policy, promise, *rest))
    torch.library.opcheck(skip_conv, (x, w, b, promise, *rest))


def test_constants_are_what_old_runtimes_read() -> None:
    """ONNX Runtime 1.20 to 1.24 refuse a body whose Pad has its pads in ``value_ints``."""
    constants = [
        node
        for body in onnx_ops.function_bodies(set(onnx_ops.SCHEMAS))
        for node in body.node
        if node.op_type == "Constant"
    ]
    assert constants
    for node in constants:
        assert [attribute.name for attribute in node.attribute] == ["value"], node
