"""StreamGatedConv in ONNX: a gated convolution of one frame per stream, its history as state."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from adafuse_deploy.ops.onnx_definition import (
    choose,
    conv,
    ints,
    make_body,
    make_operator,
    make_schema,
    node,
)

STREAM_GATED_CONV = make_schema("StreamGatedConv")
_stream_gated_conv = make_operator(STREAM_GATED_CONV)


def stream_gated_conv_node(*inputs):  # type: ignore[no-untyped-def]
    """Translate ``adafuse::stream_gated_conv``."""
    *tensors, stride, padding = inputs
    return _stream_gated_conv(*tensors, strides=list(stride), pads=list(padding) * 2)


def stream_gated_conv_body() -> onnx.FunctionProto:
    """Return StreamGatedConv as a function.

    It computes every channel, so nothing is missing in what it hands on.  State that a conditional
    kernel left is completed first.
    """
    completed = helper.make_graph(
        [
            conv("X_previous", "late"),
            node("Where", ["absent", "late", "R_previous"], "completed"),
        ],
        "complete",
        [],
        [helper.make_empty_tensor_value_info("completed")],
    )
    complete = helper.make_graph(
        [node("Identity", ["R_previous"], "unchanged")],
        "is_complete",
        [],
        [helper.make_empty_tensor_value_info("unchanged")],
    )
    nodes = [
        conv("X", "R"),
        ints("space", [2, 3]),
        node("Unsqueeze", ["missing", "space"], "lacks"),
        node("Cast", ["lacks"], "absent", to=TensorProto.BOOL),
        node("ReduceMax", ["missing"], "most", keepdims=0),
        node("Cast", ["most"], "incomplete", to=TensorProto.BOOL),
        node("If", ["incomplete"], "previous", then_branch=completed, else_branch=complete),
        ints("time", [1]),
        node("Squeeze", ["policy", "time"], "actions"),
        node("Unsqueeze", ["actions", "space"], "action"),
        *choose("action", "R", "previous", "Y"),
        node("Sub", ["missing", "missing"], "next_missing"),
    ]
    return make_body(STREAM_GATED_CONV, nodes)
