"""Which tensors of an exported graph are quantised."""

from __future__ import annotations

import onnx_ir as ir

from adafuse_deploy.graph.values import attribute, given, producer

CONVOLUTIONS = ("Conv", "GatedConv", "SkipConv")
_CHANNELS = 1


def activation_points(graph: ir.Graph) -> list[ir.Value]:
    """Return the feature maps to quantise, none of them negative, in graph order.

    These are the values behind the ReLU of a convolution or of a residual sum, once for all their
    readers.  A value that is only max-pooled or concatenated is quantised after that instead, so
    that the parts of a concatenation share a scale.  Averages of pooling are quantised too.  What
    policy networks compute from pooled features is not.
    """
    points: dict[ir.Value, None] = {}
    for node in graph:
        if node.op_type == "Relu":
            if producer(node.inputs[0], *CONVOLUTIONS, "Add") is None:
                continue
        elif node.op_type != "AveragePool":
            continue
        value = node.outputs[0]
        while (reader := _only_mover(value)) is not None:
            value = reader.outputs[0]
        points[value] = None
    return list(points)


def picture_point(graph: ir.Graph) -> ir.Value | None:
    """Return the value (N * T, 3, H, W) that the first convolution reads, or None."""
    for node in graph:
        if node.op_type in CONVOLUTIONS:
            return node.inputs[0]
    return None


def weight_points(graph: ir.Graph) -> list[ir.Value]:
    """Return the constant weights of convolutions, in graph order."""
    weights = (given(node, 1) for node in graph if node.op_type in CONVOLUTIONS)
    return [weight for weight in dict.fromkeys(weights) if weight.is_initializer()]


def _only_mover(value: ir.Value) -> ir.Node | None:
    readers = value.consumers()
    if len(readers) != 1:
        return None
    (reader,) = readers
    if reader.op_type == "MaxPool":
        return reader
    if reader.op_type == "Concat" and attribute(reader, "axis") == _CHANNELS:
        return reader
    return None
