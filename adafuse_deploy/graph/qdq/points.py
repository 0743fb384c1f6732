"""Which tensors of an exported graph are quantised."""

from __future__ import annotations

import onnx

from adafuse_deploy.graph.index import GraphIndex, attribute

CONVOLUTIONS = ("Conv", "GatedConv", "SkipConv")
_CHANNELS = 1


def activation_points(graph: onnx.GraphProto) -> list[str]:
    """Return the feature maps to quantise, none of them negative, in graph order.

    These are the values behind the ReLU of a convolution or of a residual sum, once for all their
    readers.  A value that is only max-pooled or concatenated is quantised after that instead, so
    that the parts of a concatenation share a scale.  Averages of pooling are quantised too.  What
    policy networks compute from pooled features is not.
    """
    index = GraphIndex(graph)
    points: dict[str, None] = {}
    for node in graph.node:
        if node.op_type == "Relu":
            if index.producer(node.input[0], *CONVOLUTIONS, "Add") is None:
                continue
        elif node.op_type != "AveragePool":
            continue
        value = node.output[0]
        while (reader := _only_mover(index, value)) is not None:
            value = reader.output[0]
        points[value] = None
    return list(points)


def picture_point(graph: onnx.GraphProto) -> str | None:
    """Return the value (N * T, 3, H, W) that the first convolution reads, or None."""
    for node in graph.node:
        if node.op_type in CONVOLUTIONS:
            return node.input[0]
    return None


def weight_points(graph: onnx.GraphProto) -> list[str]:
    """Return the constant weights of convolutions, in graph order."""
    constants = {tensor.name for tensor in graph.initializer}
    names = (node.input[1] for node in graph.node if node.op_type in CONVOLUTIONS)
    return [name for name in dict.fromkeys(names) if name in constants]


def _only_mover(index: GraphIndex, value: str) -> onnx.NodeProto | None:
    readers = index.readers(value)
    if len(readers) != 1:
        return None
    (reader,) = readers
    if reader.op_type == "MaxPool":
        return reader
    if reader.op_type == "Concat" and attribute(reader, "axis") == _CHANNELS:
        return reader
    return None
