"""A rewrite for GPUs of compute capability 7.5, for which TensorRT for RTX has no float32 GEMM.

It does have float32 convolutions, and a linear layer is one of 1 x 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.graph.read import drop_unused_weights

if TYPE_CHECKING:
    import onnx

CAPABILITY = "7.5"

_AXES = "spatial_axes"
_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
_LINEAR = {**_GEMM, "transB": 1}


def linear_as_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its linear layers (Gemm with constant weights) as convolutions.

    Args:
        model: a graph in standard operators; it is not changed.
    """
    import onnx
    from onnx import helper, numpy_helper

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kernels = {_AXES: numpy_helper.from_array(np.array([2, 3]), _AXES)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        linear = node.op_type == "Gemm" and {**_GEMM, **given} == _LINEAR
        if linear and node.input[1] in weights:
            weight = weights[node.input[1]]
            kernel = f"{weight.name}_kernel"
            values = numpy_helper.to_array(weight)[:, :, None, None]
            kernels[kernel] = numpy_helper.from_array(values, kernel)
            nodes.extend(_convolution(node, kernel))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kernels.values())
    drop_unused_weights(graph)
    return result


def _convolution(gemm: onnx.NodeProto, kernel: str) -> Iterator[onnx.NodeProto]:
    from onnx import helper

    x, _, *bias = gemm.input
    (y,) = gemm.output
    pixel, result = f"{y}_pixel", f"{y}_result"
    yield helper.make_node("Unsqueeze", [x, _AXES], [pixel], pixel)
    yield helper.make_node("Conv", [pixel, kernel, *bias], [result], result)
    yield helper.make_node("Squeeze", [result, _AXES], [y], y)
