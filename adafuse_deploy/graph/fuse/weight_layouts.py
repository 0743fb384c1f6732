"""The order in which fused operators read float32 weights from the file, so that none is copied."""

from __future__ import annotations

import numpy as np
import onnx

PANEL = 32
"""Output channels side by side: what a kernel for AVX-512 computes at a time."""

_SMALLEST_PLANE = 100


def pays_winograd(plane: tuple[int, int] | None) -> bool:
    """Whether to convolve frames of such a height and width by minimal filtering.

    It takes a quarter of the multiplications but four times the weights, and pixels in multiples
    of four: on small frames weights are used too seldom, and the last pixels lie beyond the edge.
    """
    return plane is not None and plane[0] * plane[1] >= _SMALLEST_PLANE


def bfloat16(values: np.ndarray, name: str) -> onnx.TensorProto:
    """Return float32 ``values`` as a bfloat16 tensor, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    halves = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return onnx.TensorProto(
        name=name,
        data_type=onnx.TensorProto.BFLOAT16,
        dims=values.shape,
        raw_data=halves.astype("<u2").tobytes(),
    )


def by_panels(weight: np.ndarray) -> np.ndarray:
    """Return weights (O, I, k, k) as (panels of outputs, k * k, I * 32), filled up with zeros."""
    outputs, inputs, height, width = weight.shape
    panels = -(-outputs // PANEL)
    filled = np.zeros((panels * PANEL, inputs, height * width), weight.dtype)
    filled[:outputs] = weight.reshape(outputs, inputs, -1)
    ordered = filled.reshape(panels, PANEL, inputs, -1).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(ordered).reshape(panels, height * width, inputs * PANEL)
