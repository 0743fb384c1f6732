"""Recognising policy networks in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.graph.layers import Parameters, is_linear, parameters
from adafuse_deploy.graph.values import (
    attribute,
    dims,
    given,
    ints,
    number,
    only_read_by,
    producer,
)


@dataclass(frozen=True)
class PolicyNetwork:
    """A policy network that one fused operator can replace.

    Attributes:
        decides: the node that gives the decisions (N, T, C).
        previous: the pooled features (N * T, F) of the frames before, or None for a network that
            reads none.
        features: those of the frames.
        first, second: of both linear layers.
        actions: what the logits of a channel stand for, in their order.
        relu: whether ReLU stands between the layers.
    """

    decides: ir.Node
    previous: ir.Value | None
    features: ir.Value
    first: Parameters
    second: Parameters
    actions: tuple[int, ...] = (KEEP, REUSE, SKIP)
    relu: bool = True

    def attributes(self, frames: int) -> dict[str, Any]:
        """Return the operator's attributes; T is ``frames``.

        What is usual is left out: operator libraries that know nothing else run such graphs.
        """
        attributes: dict[str, Any] = {"frames": frames}
        if self.actions != (KEEP, REUSE, SKIP):
            attributes["actions"] = list(self.actions)
        if not self.relu:
            attributes["relu"] = 0
        return attributes


def find_policy_networks(graph: ir.Graph, frames: int) -> list[PolicyNetwork]:
    """Return the policy networks in graph order; T is ``frames``."""
    found = (_find_policy_network(node, frames) for node in graph)
    return [network for network in found if network is not None]


def _find_policy_network(node: ir.Node, frames: int) -> PolicyNetwork | None:
    """Return the network whose decisions ``node`` gives, or None."""
    cast, step = _numbering(node)
    if cast is None or attribute(cast, "to") != ir.DataType.INT32:
        return None
    path = [cast]
    for kind in ("ArgMax", "Reshape", "Gemm"):
        above = producer(path[-1].inputs[0], kind)
        if above is None or not only_read_by(above.outputs[0], path[-1]):
            return None
        path.append(above)
    _, argmax, reshape, second = path
    relu = _above(second, "Relu")
    first = _above(relu or second, "Gemm")
    if first is None or not is_linear(first) or not is_linear(second):
        return None
    logits = dims(second.inputs[1]) or (0,)
    shape = ints(reshape.inputs[1]) or [0]
    choices = shape[-1]
    if (
        choices not in (2, 3)
        or (choices == 3 and step != 1)
        or shape != [-1, frames, logits[0] // choices, choices]
        or attribute(argmax, "axis", 0) != -1
        or attribute(argmax, "keepdims", 1) != 0
        or attribute(argmax, "select_last_index", 0) != 0
    ):
        return None
    actions = tuple(step * choice for choice in range(choices))
    layers = parameters(first), parameters(second)
    return PolicyNetwork(node, *_features(first), *layers, actions, relu is not None)


def _numbering(node: ir.Node) -> tuple[ir.Node | None, int]:
    """Return the Cast behind the decisions and what number the second choice has, 1 or 2.

    A gate that keeps or skips multiplies its choices by SKIP.
    """
    if node.op_type == "Cast":
        readers = node.outputs[0].consumers()
        multiplied = len(readers) == 1 and _numbering(readers[0])[0] is node
        return (None if multiplied else node), 1
    if node.op_type == "Mul" and any(number(value) == SKIP for value in node.inputs):
        return _above(node, "Cast"), SKIP
    return None, 1


def _above(node: ir.Node, kind: str) -> ir.Node | None:
    """Return the node of this kind that one of ``node``'s inputs comes from, for it alone."""
    for value in node.inputs:
        above = producer(value, kind)
        if above is not None and only_read_by(value, node):
            return above
    return None


def _features(first: ir.Node) -> tuple[ir.Value | None, ir.Value]:
    """Return the features that the first layer reads: the previous (None without), the frame's."""
    concat = _above(first, "Concat")
    if concat is None or attribute(concat, "axis") not in (-1, 1) or len(concat.inputs) != 2:
        return None, given(first, 0)
    return given(concat, 0), given(concat, 1)
