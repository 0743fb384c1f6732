"""Graphs that call our plugins in TensorRT.

TensorRT's parser finds a plugin by a node's operator and its attributes ``plugin_version`` and
``plugin_namespace``.
TensorRT was never at hand: the tests evaluate these graphs with the operators' reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.read import drop_unused_weights
from adafuse_deploy.ops.domain import DOMAIN

if TYPE_CHECKING:
    import onnx

OPERATORS = ("GatedConv", "SkipConv")
"""What the library has."""

PLUGIN_VERSION = "1"

_GATED_ORDER, _SKIPPING_ORDER = (0, 2, 3, 1), (2, 3, 1, 0)
"""Of the axes of weights (Cout, Cin, kH, kW), as the kernels read them."""


def for_plugins(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose conditional convolutions are the library's.

    Their weights are in the order that the kernels read, which ``packed`` says.

    Args:
        model: an exported clip graph, its function bodies still there, in float32 or float16.
    """
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.functions[:]
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    packed: dict[str, onnx.TensorProto] = {}
    for node in graph.node:
        if node.domain != DOMAIN:
            continue
        if node.op_type not in OPERATORS:
            raise InputError(f"The plugin library has no {node.op_type}; use --plugins none.")
        skipping = node.op_type == "SkipConv" or (len(node.input) == 5 and bool(node.input[4]))
        order = _SKIPPING_ORDER if skipping else _GATED_ORDER
        name = f"{node.input[1]}_{'skipping' if skipping else 'gated'}"
        if name not in packed:
            values = onnx.numpy_helper.to_array(weights[node.input[1]])
            ordered = np.ascontiguousarray(values.transpose(order))
            packed[name] = onnx.numpy_helper.from_array(ordered, name)
        node.input[1] = name
        node.attribute.extend(
            onnx.helper.make_attribute(key, value)
            for key, value in (
                ("packed", 1),
                ("plugin_namespace", DOMAIN),
                ("plugin_version", PLUGIN_VERSION),
            )
        )
    graph.initializer.extend(packed.values())
    drop_unused_weights(graph)
    return result
