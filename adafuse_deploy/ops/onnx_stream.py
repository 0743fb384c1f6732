"""StreamGatedConv in ONNX: a gated convolution of one frame per stream, its history as state."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from adafuse_deploy.ops.onnx_definition import (
    FLOAT,
    INT32,
    choose,
    conv,
    ints,
    make_body,
    make_operator,
    make_schema,
    node,
)

STREAM_GATED_CONV = make_schema(
    "StreamGatedConv",
    "Convolve a frame, then take per output channel this frame's value (keep), the previous "
    "frame's (reuse) or zero (skip). A reused value that was not computed for the previous frame "
    "is computed now.",
    {
        "X": (FLOAT, "A frame of every stream (N, Cin, H, W)."),
        "W": (FLOAT, "Weights (Cout, Cin, kH, kW)."),
        "B": (FLOAT, "Biases (Cout,)."),
        "policy": (INT32, "Actions over the outputs (N, 1, Cout): 0 keep, 1 reuse, 2 skip."),
        "X_previous": (FLOAT, "X of the previous frame."),
        "R_previous": (FLOAT, "R of the previous frame."),
        "missing": (INT32, "next_missing of the previous frame."),
        "input_policy": (
            INT32,
            "Actions over X (N, 1, Cin): its skipped channels are zero and need not be read.",
        ),
        "previous_input_policy": (INT32, "input_policy of the previous frame."),
    },
    {
        "Y": (FLOAT, "Result (N, Cout, H', W')."),
        "R": (FLOAT, "The convolution of X (N, Cout, H', W'), undefined where it is missing."),
        "next_missing": (INT32, "Channels of R (N, Cout): 0 computed, else missing."),
    },
    optional=("input_policy", "previous_input_policy"),
)
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
