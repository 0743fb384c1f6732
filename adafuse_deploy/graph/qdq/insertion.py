"""Writing quantisation into a graph: QuantizeLinear and DequantizeLinear where it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from adafuse_deploy.graph.new_nodes import add_constant, make_node
from adafuse_deploy.graph.values import constant

SIGNED_MOST = 127
UNSIGNED_MOST = 255


def quantize_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 weights and the float32 scale per output: weight = scale * int8.

    Args:
        weight: (Cout, Cin, kH, kW) float32.
    """
    most = np.abs(weight).reshape(len(weight), -1).max(1)
    scale = np.where(most > 0, most / SIGNED_MOST, 1).astype(np.float32)
    values = np.rint(weight / scale[:, None, None, None])
    return np.clip(values, -SIGNED_MOST, SIGNED_MOST).astype(np.int8), scale


def insert(
    graph: ir.Graph,
    scales: Mapping[ir.Value, float],
    signed: set[ir.Value],
    weights: Sequence[ir.Value],
) -> None:
    """Make quantisation explicit, in place.

    Args:
        graph: of a portable float32 model.
        scales: per feature map what an integer of one stands for; its readers see the rounded
            values.
        signed: feature maps of signed integers; the others are unsigned.  Zero is always zero.
        weights: constants (Cout, ...) to quantise per output.
    """
    graph.insert_before(graph[0], [_dequantize_weight(graph, weight) for weight in weights])
    for value, scale in scales.items():
        maker = value.producer()
        assert maker is not None
        readers = value.uses()
        pair = _pair(graph, value, scale, np.int8 if value in signed else np.uint8)
        graph.insert_after(maker, pair)
        for reader, index in readers:
            reader.replace_input_with(index, pair[1].outputs[0])


def _dequantize_weight(graph: ir.Graph, weight: ir.Value) -> ir.Node:
    """Return the node that makes ``weight`` from integers, in place of the constant."""
    name = weight.name
    assert name is not None
    values, scale = quantize_weight(constant(weight))
    parts = {"int8": values, "scale": scale, "zero": np.zeros(len(values), np.int8)}
    inputs = [add_constant(graph, f"{name}_{part}", array) for part, array in parts.items()]
    node = make_node("DequantizeLinear", inputs, [name], axis=0)
    (whole,) = node.outputs
    whole.type, whole.shape = weight.type, weight.shape
    weight.replace_all_uses_with(whole)
    del graph.initializers[name]
    return node


def _pair(graph: ir.Graph, value: ir.Value, scale: float, kind: type) -> tuple[ir.Node, ir.Node]:
    name = value.name
    parts = [
        add_constant(graph, f"{name}_scale", np.array(scale, np.float32)),
        add_constant(graph, f"{name}_zero", np.zeros((), kind)),
    ]
    quantize = make_node("QuantizeLinear", [value, *parts], [f"{name}_quantized"])
    whole = quantize.outputs[0]
    dequantize = make_node("DequantizeLinear", [whole, *parts], [f"{name}_dequantized"])
    return quantize, dequantize
