"""Writing quantisation into a graph: QuantizeLinear and DequantizeLinear where it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

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
    model: onnx.ModelProto,
    scales: Mapping[str, float],
    signed: set[str],
    weights: list[str],
) -> onnx.ModelProto:
    """Return the graph with explicit quantisation.

    Args:
        model: a portable float32 graph.
        scales: per feature map what an integer of one stands for; its readers see the rounded
            values.
        signed: feature maps of signed integers; the others are unsigned.  Zero is always zero.
        weights: names of the weights (Cout, ...) to quantise per output.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    rounded = {name: f"{name}_dequantized" for name in scales}

    for name in weights:
        values, scale = quantize_weight(numpy_helper.to_array(constants[name]))
        graph.initializer.remove(constants[name])
        parts = [f"{name}_int8", f"{name}_scale", f"{name}_zero"]
        arrays = (values, scale, np.zeros(len(values), np.int8))
        graph.initializer.extend(_constants(arrays, parts))
        nodes.append(helper.make_node("DequantizeLinear", parts, [name], name=name, axis=0))
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = rounded.get(name, name)
        nodes.append(node)
        for name in node.output:
            if name in scales:
                nodes += _pair(graph, name, scales[name], name in signed)
    del graph.node[:]
    graph.node.extend(nodes)
    return quantized


def _pair(
    graph: onnx.GraphProto, name: str, scale: float, signed: bool
) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    parts = [f"{name}_scale", f"{name}_zero"]
    zero = np.zeros((), np.int8 if signed else np.uint8)
    arrays = (np.array(scale, np.float32), zero)
    graph.initializer.extend(_constants(arrays, parts))
    whole = f"{name}_quantized"
    return (
        helper.make_node("QuantizeLinear", [name, *parts], [whole], name=whole),
        helper.make_node(
            "DequantizeLinear", [whole, *parts], [f"{name}_dequantized"], name=f"{name}_dequantized"
        ),
    )


def _constants(arrays: Sequence[np.ndarray], names: Sequence[str]) -> list[onnx.TensorProto]:
    pairs = zip(arrays, names, strict=True)
    return [numpy_helper.from_array(array, name) for array, name in pairs]
