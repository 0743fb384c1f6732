"""Recognising the stem in an exported graph: what stands before the first block."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from adafuse_deploy.graph.layers import (
    Parameters,
    conv_stride,
    kernel_size,
    parameters,
    plainly_padded,
)
from adafuse_deploy.graph.values import attribute, given, producer


@dataclass(frozen=True)
class Stem:
    """Convolution, ReLU and 3x3 max pooling in steps of two, which one fused operator can replace.

    Attributes:
        source: the value (N * T, C, H, W) that is convolved.
        weights: of the convolution.
        stride: of the convolution, which is padded by half its kernel.
        pool_pad: padding of the pooling, 0 or 1.
        pool_ceil: whether a last window may reach beyond the plane.
    """

    source: ir.Value
    weights: Parameters
    stride: int
    pool_pad: int
    pool_ceil: bool

    def attributes(self) -> dict[str, int]:
        """Return what the fused operator needs besides its inputs."""
        return {
            "stride": self.stride,
            "pool_pad": self.pool_pad,
            "pool_ceil": int(self.pool_ceil),
        }


def find_stem(value: ir.Value) -> Stem | None:
    """Return the stem that makes ``value``, or None."""
    pool = producer(value, "MaxPool")
    relu = pool and producer(pool.inputs[0], "Relu")
    conv = relu and producer(relu.inputs[0], "Conv")
    if pool is None or relu is None or conv is None:
        return None
    size, stride = kernel_size(conv), conv_stride(conv)
    pads = list(attribute(pool, "pads", [0] * 4))
    plain = (
        size is not None
        and size % 2 == 1
        and stride is not None
        and list(attribute(pool, "kernel_shape")) == [3, 3]
        and list(attribute(pool, "strides", [1, 1])) == [2, 2]
        and pads in ([0] * 4, [1] * 4)
        and plainly_padded(pool)
    )
    if not plain or stride is None:
        return None
    ceil = bool(attribute(pool, "ceil_mode", 0))
    return Stem(given(conv, 0), parameters(conv), stride, pads[0], ceil)
