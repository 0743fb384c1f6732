"""The operator domain in ONNX: nodes for the exporter, function bodies for everybody else.

An exported graph carries the bodies as model-local functions in standard operators, so any runtime
that knows functions can run it; a runtime with our operator library uses the kernels instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx
import torch

import adafuse_deploy.ops.conv
import adafuse_deploy.ops.stream_conv  # noqa: F401 -- these define torch.ops.adafuse
from adafuse_deploy.ops.onnx_clip import (
    GATED_CONV,
    SKIP_CONV,
    gated_conv_body,
    gated_conv_node,
    skip_conv_body,
    skip_conv_node,
)
from adafuse_deploy.ops.onnx_stream import (
    STREAM_GATED_CONV,
    stream_gated_conv_body,
    stream_gated_conv_node,
)

SCHEMAS = {schema.name: schema for schema in (GATED_CONV, SKIP_CONV, STREAM_GATED_CONV)}
_BODIES = {
    GATED_CONV.name: gated_conv_body,
    SKIP_CONV.name: skip_conv_body,
    STREAM_GATED_CONV.name: stream_gated_conv_body,
}


def translation_table() -> dict[Callable[..., object], Callable[..., object]]:
    """Return the ``custom_translation_table`` for ``torch.onnx.export``."""
    return {
        torch.ops.adafuse.gated_conv.default: gated_conv_node,
        torch.ops.adafuse.skip_conv.default: skip_conv_node,
        torch.ops.adafuse.stream_gated_conv.default: stream_gated_conv_node,
    }


def function_bodies(names: Iterable[str] = tuple(_BODIES)) -> list[onnx.FunctionProto]:
    """Return operators as functions of standard operators, all of them or those of ``names``."""
    return [_BODIES[name]() for name in _BODIES if name in names]
