"""A rewrite for GPUs of compute capability 7.5, for which TensorRT for RTX has no float32 GEMM.

It does have float32 convolutions, and a linear layer is one of 1 x 1.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from adafuse_deploy.graph.layers import is_linear, parameters
from adafuse_deploy.graph.new_nodes import (
    add_constant,
    drop_unused_constants,
    ints_constant,
    make_node,
)
from adafuse_deploy.graph.values import constant

CAPABILITY = "7.5"


def linear_as_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its linear layers (Gemm with constant weights) as convolutions.

    Args:
        model: a graph in standard operators; it is not changed.
    """
    result = ir.from_proto(model)
    for node in result.graph:
        if node.op_type == "Gemm" and is_linear(node):
            new = _convolution(result.graph, node)
            ir.convenience.replace_nodes_and_values(
                result.graph, node, [node], new, node.outputs, new[-1].outputs
            )
    drop_unused_constants(result.graph)
    return ir.to_proto(result)


def _convolution(graph: ir.Graph, gemm: ir.Node) -> list[ir.Node]:
    weight, bias = parameters(gemm)
    name = gemm.outputs[0].name
    space = ints_constant(graph, 2, 3)
    kernel = graph.initializers.get(f"{weight.name}_kernel") or add_constant(
        graph, f"{weight.name}_kernel", np.asarray(constant(weight))[:, :, None, None]
    )
    pixel = make_node("Unsqueeze", [gemm.inputs[0], space], [f"{name}_pixel"])
    conv = make_node("Conv", [pixel.outputs[0], kernel, bias], [f"{name}_result"])
    squeeze = make_node("Squeeze", [conv.outputs[0], space], [f"{name}_vector"])
    return [pixel, conv, squeeze]
