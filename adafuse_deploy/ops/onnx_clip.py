"""GatedConv and SkipConv in ONNX: convolutions over the frames of clips."""

from __future__ import annotations

import onnx

from adafuse_deploy.ops.onnx_definition import (
    choose,
    conv,
    ints,
    make_body,
    make_operator,
    make_schema,
    node,
)

GATED_CONV, SKIP_CONV = map(make_schema, ("GatedConv", "SkipConv"))
_gated_conv, _skip_conv = map(make_operator, (GATED_CONV, SKIP_CONV))


def gated_conv_node(x, weight, bias, policy, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    """Translate ``adafuse::gated_conv``."""
    attributes = {"strides": list(stride), "pads": list(padding) * 2}
    return _gated_conv(x, weight, bias, policy, input_policy, **attributes)


def skip_conv_node(x, weight, bias, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    """Translate ``adafuse::skip_conv``."""
    return _skip_conv(x, weight, bias, input_policy, strides=list(stride), pads=list(padding) * 2)


def skip_conv_body() -> onnx.FunctionProto:
    """Return SkipConv as a function: the convolution."""
    return make_body(SKIP_CONV, [conv("X", "Y")])


def gated_conv_body() -> onnx.FunctionProto:
    """Return GatedConv as a function: every channel of every frame, then the choice."""
    nodes = [
        conv("X", "raw"),
        # Clips apart: (N, T, C, H', W').
        node("Shape", ["policy"], "clip_shape", start=0, end=2),
        node("Shape", ["raw"], "frame_shape", start=1),
        node("Concat", ["clip_shape", "frame_shape"], "shape", axis=0),
        node("Reshape", ["raw", "shape"], "clips"),
        # The previous frame: a frame of zeros in front, the last one off.
        ints("first", [0]),
        ints("last", [-1]),
        ints("time", [1]),
        node("Slice", ["clips", "first", "last", "time"], "earlier"),
        ints("front", [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        node("Pad", ["earlier", "front"], "previous"),
        # Choose per channel.
        ints("space", [3, 4]),
        node("Unsqueeze", ["policy", "space"], "action"),
        *choose("action", "clips", "previous", "fused"),
        node("Shape", ["raw"], "raw_shape"),
        node("Reshape", ["fused", "raw_shape"], "Y"),
    ]
    return make_body(GATED_CONV, nodes)
