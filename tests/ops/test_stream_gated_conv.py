"""One meaning of StreamGatedConv: PyTorch, its body in every runtime, the kernel, a naive rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.ops import onnx_ops
from adafuse_deploy.ops.library import register
from adafuse_deploy.ops.onnx_definition import OPSET
from adafuse_deploy.ops.operator_schemas import DOMAIN, VERSION
from adafuse_deploy.ops.stream_conv import stream_gated_conv
from tests.ops.runtimes import RUNTIMES, Arrays

INPUTS = ["X", "W", "B", "policy", "X_previous", "R_previous", "missing"]
PROMISES = ["input_policy", "previous_input_policy"]
INT32 = ("policy", "missing", *PROMISES)
CASES = [
    # streams, inputs, outputs, kernel, stride, padding, size; whether something is missing
    (2, 3, 5, 3, 1, 1, (6, 5), True),
    (1, 4, 7, 3, 2, 1, (7, 8), True),
    (3, 2, 3, 1, 1, 0, (4, 4), False),
]


def _case(case: tuple) -> tuple[Arrays, dict[str, list[int]]]:  # type: ignore[type-arg]
    streams, inputs, outputs, kernel, stride, padding, size, missing = case
    rng = np.random.default_rng(CASES.index(case))

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    arrays = {
        "X": normal(streams, inputs, *size),
        "W": normal(outputs, inputs, kernel, kernel),
        "B": normal(outputs),
        "policy": rng.integers(0, 3, (streams, 1, outputs)).astype(np.int32),
        "X_previous": normal(streams, inputs, *size),
        "missing": rng.integers(0, 2, (streams, outputs)).astype(np.int32) * missing,
    }
    for frame, promise in zip(("X", "X_previous"), PROMISES, strict=True):
        arrays[promise] = rng.integers(0, 3, (streams, 1, inputs)).astype(np.int32)
        arrays[frame][arrays[promise][:, 0] == SKIP] = 0  # what it promises
    attributes = {"strides": [stride] * 2, "pads": [padding] * 4}
    arrays["R_previous"] = _convolve(arrays["X_previous"], arrays, attributes).astype(np.float32)
    arrays["R_previous"][arrays["missing"] == 1] = np.nan  # undefined: nobody may read it
    return arrays, attributes


def _convolve(x: np.ndarray, arrays: Arrays, attributes: dict[str, list[int]]) -> np.ndarray:
    tensors = (torch.from_numpy(value).double() for value in (x, arrays["W"], arrays["B"]))
    return F.conv2d(*tensors, attributes["strides"][0], attributes["pads"][0]).numpy()


def _check(results: list[np.ndarray], arrays: Arrays, attributes: dict[str, list[int]]) -> None:
    y, raw, missing = results
    current, previous = (
        _convolve(arrays[name], arrays, attributes) for name in ("X", "X_previous")
    )
    action = arrays["policy"][:, 0, :, None, None]
    expected = np.where(action == KEEP, current, np.where(action == REUSE, previous, 0))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    computed = missing == 0
    assert missing.dtype == np.int32 and missing.shape == arrays["missing"].shape
    assert computed[arrays["policy"][:, 0] == KEEP].all()
    np.testing.assert_allclose(raw[computed], current[computed], rtol=1e-4, atol=1e-4)


def _model(inputs: list[str], attributes: dict[str, list[int]], arrays: Arrays) -> onnx.ModelProto:
    outputs = ["Y", "R", "next_missing"]
    node = helper.make_node("StreamGatedConv", inputs, outputs, domain=DOMAIN, **attributes)
    fed = [name for name in inputs if name and name not in ("W", "B")]

    def value(name: str, rank: int) -> onnx.ValueInfoProto:
        kind = TensorProto.INT32 if name in (*INT32, "next_missing") else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, [f"{name}_{i}" for i in range(rank)])

    graph = helper.make_graph(
        [node],
        "one_node",
        [value(name, arrays[name].ndim) for name in fed],
        [value(name, rank) for name, rank in zip(outputs, (4, 4, 2), strict=True)],
        [onnx.numpy_helper.from_array(arrays[name], name) for name in ("W", "B")],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
    bodies = onnx_ops.function_bodies({"StreamGatedConv"})
    model = helper.make_model(graph, functions=bodies, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def _kernel(model: onnx.ModelProto, arrays: Arrays) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    register(options)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)


@pytest.mark.parametrize("runtime", [*RUNTIMES, _kernel])
@pytest.mark.parametrize("promises", [["", ""], PROMISES])
@pytest.mark.parametrize("case", CASES)
def test_body_and_kernel(
    runtime: Callable[..., list[np.ndarray]],
    promises: list[str],
    case: tuple,  # type: ignore[type-arg]
) -> None:
    arrays, attributes = _case(case)
    model = _model([*INPUTS, *promises], attributes, arrays)
    results = runtime(model, {value.name: arrays[value.name] for value in model.graph.input})
    _check(results, arrays, attributes)
    # The body computes everything, the kernel what is kept.
    dropped = (arrays["policy"][:, 0] != KEEP) if runtime is _kernel else 0 * arrays["missing"]
    np.testing.assert_array_equal(results[2], dropped)


@pytest.mark.parametrize("case", CASES)
def test_pytorch_operator(case: tuple) -> None:  # type: ignore[type-arg]
    arrays, attributes = _case(case)
    tensors = [torch.from_numpy(arrays[name]) for name in (*INPUTS, *PROMISES)]
    geometry = (attributes["strides"], attributes["pads"][:2])
    results = stream_gated_conv(*tensors, *geometry)
    _check([tensor.numpy() for tensor in results], arrays, attributes)
    torch.library.opcheck(
        stream_gated_conv,
        (*tensors, *geometry),
        test_utils=("test_schema", "test_faketensor", "test_aot_dispatch_dynamic"),
    )


def test_the_kernel_reads_no_skipped_channel() -> None:
    arrays, attributes = _case(CASES[0])
    model = _model([*INPUTS, *PROMISES], attributes, arrays)
    feeds = {value.name: arrays[value.name] for value in model.graph.input}
    expected = _kernel(model, feeds)
    for frame, promise in zip(("X", "X_previous"), PROMISES, strict=True):
        feeds[frame] = feeds[frame].copy()
        feeds[frame][feeds[promise][:, 0] == SKIP] = np.nan
    np.testing.assert_array_equal(_kernel(model, feeds)[0], expected[0])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("X_previous", (2, 3, 6, 4), r"X_previous \(2, 3, 6, 4\) does not fit X \(2, 3, 6, 5\)"),
        ("R_previous", (2, 5, 5, 5), r"R_previous \(2, 5, 5, 5\) does not fit W"),
        ("missing", (1, 5), r"missing \(1, 5\) does not fit W"),
        ("policy", (2, 1, 4), r"policy \(2, 1, 4\) must have 5 channels"),
        ("policy", (2, 2, 5), r"policy \(2, 2, 5\) does not fit X"),
    ],
)
def test_the_kernel_refuses_bad_tensors(name: str, shape: tuple[int, ...], message: str) -> None:
    arrays, attributes = _case(CASES[0])
    model = _model([*INPUTS, "", ""], attributes, arrays)
    feeds = {value.name: arrays[value.name] for value in model.graph.input}
    feeds[name] = np.zeros(shape, feeds[name].dtype)
    with pytest.raises(Exception, match=message):
        _kernel(model, feeds)
