"""Recognising the stem in an exported graph: what stands before the first block."""

from __future__ import annotations

from dataclasses import dataclass

from adafuse_deploy.graph.index import GraphIndex, attribute


@dataclass(frozen=True)
class Stem:
    """Convolution, ReLU and 3x3 max pooling in steps of two, which one fused operator can replace.

    Attributes:
        source: the value (N * T, C, H, W) that is convolved.
        weights: names of weight and bias ("" for none).
        stride: of the convolution, which is padded by half its kernel.
        pool_pad: padding of the pooling, 0 or 1.
        pool_ceil: whether a last window may reach beyond the plane.
    """

    source: str
    weights: tuple[str, str]
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


def find_stem(index: GraphIndex, value: str) -> Stem | None:
    """Return the stem that makes ``value``, or None."""
    pool = index.producer(value, "MaxPool")
    relu = pool and index.producer(pool.input[0], "Relu")
    conv = relu and index.producer(relu.input[0], "Conv")
    if pool is None or relu is None or conv is None:
        return None
    dims = index.dims(conv.input[1])
    if dims is None or dims[2] != dims[3] or dims[2] % 2 == 0:
        return None
    strides, pads = attribute(conv, "strides", [1, 1]), attribute(pool, "pads", [0] * 4)
    plain = (
        attribute(conv, "group", 1) == 1
        and list(attribute(conv, "dilations", [1, 1])) == [1, 1]
        and list(attribute(conv, "pads", [0] * 4)) == [dims[2] // 2] * 4
        and strides[0] == strides[1]
        and list(attribute(pool, "kernel_shape")) == [3, 3]
        and list(attribute(pool, "strides", [1, 1])) == [2, 2]
        and list(attribute(pool, "dilations", [1, 1])) == [1, 1]
        and list(pads) in ([0] * 4, [1] * 4)
        and all(attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" for node in (conv, pool))
    )
    if not plain:
        return None
    bias = conv.input[2] if len(conv.input) > 2 else ""
    ceil = bool(attribute(pool, "ceil_mode", 0))
    return Stem(conv.input[0], (conv.input[1], bias), strides[0], pads[0], ceil)
