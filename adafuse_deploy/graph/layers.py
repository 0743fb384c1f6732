"""What rewrites need to know about convolutions, pooling and linear layers."""

from __future__ import annotations

import onnx_ir as ir

from adafuse_deploy.graph.values import attribute, dims, given, optional

Parameters = tuple[ir.Value, ir.Value | None]
"""Weight and bias of a layer; exporters leave out a bias of zeros."""


def parameters(layer: ir.Node) -> Parameters:
    """Return weight and bias of a convolution or linear layer."""
    return given(layer, 1), optional(layer, 2)


def plainly_padded(node: ir.Node) -> bool:
    """Whether a convolution or pooling is padded by its ``pads`` alone, and not dilated."""
    return attribute(node, "auto_pad", "NOTSET") == "NOTSET" and set(
        attribute(node, "dilations", [1])
    ) == {1}


def kernel_size(conv: ir.Node) -> int | None:
    """Return the size of a square kernel padded by half of it, or None."""
    shape = dims(conv.inputs[1])
    if shape is None or len(shape) != 4 or shape[2] != shape[3]:
        return None
    size = shape[2]
    plain = (
        plainly_padded(conv)
        and attribute(conv, "group", 1) == 1
        and list(attribute(conv, "pads", [0] * 4)) == [size // 2] * 4
    )
    return size if plain else None


def conv_stride(conv: ir.Node) -> int | None:
    """Return the stride if it is the same along both axes."""
    strides = set(attribute(conv, "strides", [1, 1]))
    return strides.pop() if len(strides) == 1 else None


def is_linear(gemm: ir.Node) -> bool:
    """Whether a Gemm is a linear layer: x W^T + b, of constants."""
    weight, bias = dims(gemm.inputs[1]), optional(gemm, 2)
    return (
        weight is not None
        and (bias is None or dims(bias) == weight[:1])
        and (attribute(gemm, "transA", 0), attribute(gemm, "transB", 0)) == (0, 1)
        and attribute(gemm, "alpha", 1.0) == attribute(gemm, "beta", 1.0) == 1
    )
