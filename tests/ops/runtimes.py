"""Every runtime that runs function bodies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.inliner import inline_local_functions
from onnx.reference import ReferenceEvaluator

Arrays = dict[str, np.ndarray]


def _onnxruntime(model: onnx.ModelProto, arrays: Arrays) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)


def _onnxruntime_inlined(model: onnx.ModelProto, arrays: Arrays) -> list[np.ndarray]:
    inlined = inline_local_functions(model)
    assert not inlined.functions
    assert {node.domain for node in inlined.graph.node} == {""}
    return _onnxruntime(inlined, arrays)


def _reference(model: onnx.ModelProto, arrays: Arrays) -> list[np.ndarray]:
    return ReferenceEvaluator(model).run(None, arrays)


def _openvino(model: onnx.ModelProto, arrays: Arrays) -> list[np.ndarray]:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(inline_local_functions(model).SerializeToString(), b""),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32"},
    )
    # Inlined, the promise is read by nobody, and OpenVINO drops such an input.
    result = compiled({name: arrays[name] for port in compiled.inputs for name in port.names})
    return [result[port] for port in compiled.outputs]


RUNTIMES: list[Callable[[onnx.ModelProto, Arrays], list[np.ndarray]]] = [
    _onnxruntime,
    _onnxruntime_inlined,
    _reference,
    _openvino,
]
