"""Graphs that call our plugins in TensorRT.

TensorRT's parser finds a plugin by a node's operator and its attributes ``plugin_version`` and
``plugin_namespace``.
TensorRT was never at hand: the tests evaluate these graphs with the operators' reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.operator_schemas import DOMAIN

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

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
    import onnx_ir as ir

    from adafuse_deploy.graph.new_nodes import drop_unused_constants
    from adafuse_deploy.graph.values import given, optional

    result = ir.from_proto(model)
    result.functions.clear()
    for node in result.graph:
        if node.domain != DOMAIN:
            continue
        if node.op_type not in OPERATORS:
            raise InputError(f"The plugin library has no {node.op_type}; use --plugins none.")
        skipping = node.op_type == "SkipConv" or optional(node, 4) is not None
        node.replace_input_with(1, _packed(result.graph, given(node, 1), skipping))
        for attribute in (
            ir.AttrInt64("packed", 1),
            ir.AttrString("plugin_namespace", DOMAIN),
            ir.AttrString("plugin_version", PLUGIN_VERSION),
        ):
            node.attributes.add(attribute)
    drop_unused_constants(result.graph)
    return ir.to_proto(result)


def _packed(graph: ir.Graph, weight: ir.Value, skipping: bool) -> ir.Value:
    """Return a weight in the order of the kernels, made at its first use."""
    from adafuse_deploy.graph.new_nodes import add_constant
    from adafuse_deploy.graph.values import constant

    name = f"{weight.name}_{'skipping' if skipping else 'gated'}"
    known: ir.Value | None = graph.initializers.get(name)
    order = _SKIPPING_ORDER if skipping else _GATED_ORDER
    if known is not None:
        return known
    return add_constant(graph, name, np.ascontiguousarray(constant(weight).transpose(order)))
