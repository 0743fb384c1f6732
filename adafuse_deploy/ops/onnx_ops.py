"""The operator domain in ONNX: schemas for the exporter, function bodies for everybody else.

An exported graph carries the bodies as model-local functions in standard operators, so any runtime
that knows functions can run it; a runtime with our operator library uses the kernels instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnx import helper
from onnxscript import values

import adafuse_deploy.ops.conv  # noqa: F401 -- defines torch.ops.adafuse
from adafuse_deploy.ops.domain import DOMAIN, VERSION
from adafuse_deploy.prediction import KEEP, REUSE

OPSET = 18
"""Version of the standard operators used in graphs and bodies."""

_FLOATS = ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"]
_ATTRIBUTES = {
    "strides": "Stride along height and width.",
    "pads": "Zeros added at top, left, bottom and right.",
}
_INPUTS = {
    "X": ("T", "Frames (N * T, Cin, H, W), batch-major."),
    "W": ("T", "Weights (Cout, Cin, kH, kW)."),
    "B": ("T", "Biases (Cout,)."),
    "policy": ("tensor(int32)", "Actions over the outputs (N, T, Cout): 0 keep, 1 reuse, 2 skip."),
    "input_policy": (
        "tensor(int32)",
        "Actions that made X (N, T, Cin): its skipped channels are zero and need not be read.",
    ),
}


def _schema(name: str, doc: str, inputs: list[str], optional: str = "") -> onnx.defs.OpSchema:
    option = onnx.defs.OpSchema.FormalParameterOption
    return onnx.defs.OpSchema(
        name,
        DOMAIN,
        VERSION,
        doc,
        inputs=[
            onnx.defs.OpSchema.FormalParameter(
                key,
                _INPUTS[key][0],
                _INPUTS[key][1],
                param_option=option.Optional if key == optional else option.Single,
            )
            for key in inputs
        ],
        outputs=[onnx.defs.OpSchema.FormalParameter("Y", "T", "Result (N * T, Cout, H', W').")],
        type_constraints=[("T", _FLOATS, "Floating point.")],
        attributes=[
            onnx.defs.OpSchema.Attribute(key, onnx.defs.OpSchema.AttrType.INTS, doc)
            for key, doc in _ATTRIBUTES.items()
        ],
    )


GATED_CONV = _schema(
    "GatedConv",
    "Convolve each frame, then take per output channel this frame's value (keep), the previous "
    "frame's (reuse; zero in the first frame) or zero (skip).",
    ["X", "W", "B", "policy", "input_policy"],
    optional="input_policy",
)
SKIP_CONV = _schema(
    "SkipConv",
    "Convolve frames whose skipped channels are zero.",
    ["X", "W", "B", "input_policy"],
)

_opset = values.Opset(DOMAIN, VERSION)
_gated_conv = values.Op(_opset, "GatedConv", GATED_CONV)
_skip_conv = values.Op(_opset, "SkipConv", SKIP_CONV)


def _gated_conv_node(x, weight, bias, policy, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    attributes = {"strides": list(stride), "pads": list(padding) * 2}
    return _gated_conv(x, weight, bias, policy, input_policy, **attributes)


def _skip_conv_node(x, weight, bias, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    return _skip_conv(x, weight, bias, input_policy, strides=list(stride), pads=list(padding) * 2)


def translation_table() -> dict[Callable[..., object], Callable[..., object]]:
    """Return the ``custom_translation_table`` for ``torch.onnx.export``."""
    return {
        torch.ops.adafuse.gated_conv.default: _gated_conv_node,
        torch.ops.adafuse.skip_conv.default: _skip_conv_node,
    }


def function_bodies() -> list[onnx.FunctionProto]:
    """Return both operators as functions of standard operators."""
    return [_gated_conv_body(), _skip_conv_body()]


def _function(schema: onnx.defs.OpSchema, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    return helper.make_function(
        DOMAIN,
        schema.name,
        [parameter.name for parameter in schema.inputs],
        ["Y"],
        nodes,
        [helper.make_opsetid("", OPSET)],
        attributes=list(_ATTRIBUTES),
    )


def _conv(output: str) -> onnx.NodeProto:
    node = helper.make_node("Conv", ["X", "W", "B"], [output])
    for key in _ATTRIBUTES:
        reference = onnx.AttributeProto(name=key, ref_attr_name=key, type=onnx.AttributeProto.INTS)
        node.attribute.append(reference)
    return node


def _ints(name: str, numbers: list[int]) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value_ints=numbers)


def _skip_conv_body() -> onnx.FunctionProto:
    return _function(SKIP_CONV, [_conv("Y")])


def _gated_conv_body() -> onnx.FunctionProto:
    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    int32 = onnx.TensorProto.INT32
    nodes = [
        _conv("raw"),
        # Clips apart: (N, T, C, H', W').
        node("Shape", ["policy"], "clip_shape", start=0, end=2),
        node("Shape", ["raw"], "frame_shape", start=1),
        node("Concat", ["clip_shape", "frame_shape"], "shape", axis=0),
        node("Reshape", ["raw", "shape"], "clips"),
        # The previous frame: a frame of zeros in front, the last one off.
        _ints("first", [0]),
        _ints("last", [-1]),
        _ints("time", [1]),
        node("Slice", ["clips", "first", "last", "time"], "earlier"),
        _ints("front", [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        node("Pad", ["earlier", "front"], "previous"),
        # Choose per channel.
        _ints("space", [3, 4]),
        node("Unsqueeze", ["policy", "space"], "action"),
        node("Constant", [], "keep", value=helper.make_tensor("keep", int32, [], [KEEP])),
        node("Constant", [], "reuse", value=helper.make_tensor("reuse", int32, [], [REUSE])),
        node("Equal", ["action", "keep"], "kept"),
        node("Equal", ["action", "reuse"], "reused"),
        node("Constant", [], "nothing", value=helper.make_tensor("nothing", 1, [], [0.0])),
        node("CastLike", ["nothing", "X"], "empty"),
        node("Where", ["reused", "previous", "empty"], "history"),
        node("Where", ["kept", "clips", "history"], "fused"),
        node("Shape", ["raw"], "raw_shape"),
        node("Reshape", ["fused", "raw_shape"], "Y"),
    ]
    return _function(GATED_CONV, nodes)
