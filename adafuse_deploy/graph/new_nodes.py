"""Nodes and constants that a rewritten graph gets, and constants that it needs no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from adafuse_deploy.ops.operator_schemas import DOMAIN, operators


def make_node(
    kind: str,
    inputs: Sequence[ir.Value | None],
    outputs: Sequence[str | ir.Value],
    *,
    domain: str = "",
    **attributes: Any,
) -> ir.Node:
    """Return a node that is in no graph yet, named like its first output.

    Args:
        kind: the operator.
        inputs: None for those that are left out; at the end they are dropped.
        outputs: names of the new values, or values that no node makes.
        domain: of the operator; nodes of ours must be as their schema says.
        attributes: of the operator.
    """
    if domain == DOMAIN:
        operators()[kind].check_node(inputs, outputs, attributes)
    last = max((index for index, value in enumerate(inputs) if value is not None), default=-1)
    values = [ir.val(output) if isinstance(output, str) else output for output in outputs]
    return ir.node(
        kind,
        inputs[: last + 1],
        attributes,
        domain=domain,
        outputs=values,
        name=values[0].name,
    )


def add_constant(graph: ir.Graph, name: str, values: np.ndarray) -> ir.Value:
    """Add a constant to ``graph``."""
    value = ir.val(name, const_value=ir.tensor(values, name=name))
    graph.register_initializer(value)
    return value


def ints_constant(graph: ir.Graph, *numbers: int) -> ir.Value:
    """Return a constant vector of ``graph``, made at its first use."""
    name = f"fused_ints_{'_'.join(map(str, numbers))}"
    known: ir.Value | None = graph.initializers.get(name)
    return known or add_constant(graph, name, np.array(numbers, np.int64))


def drop_unused_constants(graph: ir.Graph) -> None:
    """Remove the constants that no node reads any more."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
