"""Weights in the types and orders in which fused operators read them from the file."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import onnx_ir as ir

from adafuse_deploy.core.sizes import ceil_div
from adafuse_deploy.graph.layers import Parameters
from adafuse_deploy.graph.new_nodes import add_constant
from adafuse_deploy.graph.qdq.removal import Quantisation
from adafuse_deploy.graph.values import constant, dims
from adafuse_deploy.ops.frame_layout import weight_panel


class FusedWeights:
    """The constants that fused operators read, each made once, so that nothing copies them later.

    Args:
        graph: gets them.
        precision: "fp32", "bf16" or "int8".
        quantisation: where int8 weights are.
    """

    def __init__(self, graph: ir.Graph, precision: str, quantisation: Quantisation) -> None:
        self._graph = graph
        self._precision = precision
        self._quantised = quantisation.weights

    def convolution(self, layer: Parameters, *, panels: bool = False) -> list[ir.Value]:
        """Return a convolution's weight and bias; in int8 integers, bias and the integers' scales.

        Args:
            layer: its weight (Cout, Cin, k, k) and bias.
            panels: with float32 weights :func:`by_panels`.
        """
        weight, bias = layer[0], self.bias(layer)
        if self._precision == "int8":
            stored = self._quantised[weight]
            return [stored.integers, bias, stored.scale]
        if panels and self._precision == "fp32":
            return [self._made(weight, "by_panels", by_panels), bias]
        return [self.as_stored(weight), bias]

    def bias(self, layer: Parameters) -> ir.Value:
        """Return a layer's bias, or zeros for its outputs if there is none."""
        weight, bias = layer
        if bias is not None:
            return bias
        shape = dims(weight)
        assert shape is not None
        name = f"fused_zeros_{shape[0]}"
        known: ir.Value | None = self._graph.initializers.get(name)
        return known or add_constant(self._graph, name, np.zeros(shape[0], np.float32))

    def as_stored(self, weight: ir.Value) -> ir.Value:
        """Return a weight in the type that the engine's file has weights in."""
        return self._made(weight, "bf16", np.asarray) if self._precision == "bf16" else weight

    def by_inputs(self, weight: ir.Value) -> ir.Value:
        """Return a matrix (outputs, inputs) with a row per input, of which some are not read."""
        return self._made(weight, "by_inputs", np.transpose)

    def _made(
        self, weight: ir.Value, order: str, apply: Callable[[np.ndarray], np.ndarray]
    ) -> ir.Value:
        """Return a weight in another order and the file's type, made at its first use."""
        name = f"{weight.name}_{order}"
        known: ir.Value | None = self._graph.initializers.get(name)
        if known is not None:
            return known
        values = np.ascontiguousarray(apply(constant(weight)))
        if self._precision == "bf16":
            values = values.astype(ml_dtypes.bfloat16)  # to nearest, ties to even
        return add_constant(self._graph, name, values)


def by_panels(weight: np.ndarray) -> np.ndarray:
    """Return weights (O, I, k, k) as (panels of P outputs, k * k, I * P), filled up with zeros."""
    outputs, inputs, height, width = weight.shape
    panel = weight_panel()
    panels = ceil_div(outputs, panel)
    filled = np.zeros((panels * panel, inputs, height * width), weight.dtype)
    filled[:outputs] = weight.reshape(outputs, inputs, -1)
    ordered = filled.reshape(panels, panel, inputs, -1).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(ordered).reshape(panels, height * width, inputs * panel)
