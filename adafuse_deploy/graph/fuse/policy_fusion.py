"""Replacing policy networks by one operator each."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from adafuse_deploy.graph.fuse.policy_networks import PolicyNetwork, find_policy_networks
from adafuse_deploy.graph.fuse.weights import FusedWeights
from adafuse_deploy.graph.new_nodes import add_constant, make_node
from adafuse_deploy.graph.values import constant
from adafuse_deploy.ops.operator_schemas import DOMAIN

_SHARED_WEIGHT = 2  # among the inputs of PolicyNetwork


def fuse_policy_networks(graph: ir.Graph, frames: int, weights: FusedWeights) -> None:
    """Let one operator make each gate's decisions; T is ``frames``."""
    rows = SharedRows()
    for network in find_policy_networks(graph, frames):
        (decisions,) = network.decides.outputs
        node = _operator(graph, network, frames, weights, rows, str(decisions.name))
        ir.convenience.replace_nodes_and_values(
            graph, network.decides, [network.decides], [node], [decisions], node.outputs
        )


def _operator(
    graph: ir.Graph,
    network: PolicyNetwork,
    frames: int,
    weights: FusedWeights,
    rows: SharedRows,
    name: str,
) -> ir.Node:
    weight, _ = network.first
    shared, factors = rows.find(weight)
    inputs = [
        network.previous,
        network.features,
        weights.as_stored(shared),
        add_constant(graph, f"{name}_factors", factors),
        weights.bias(network.first),
        weights.by_inputs(network.second[0]),
        weights.bias(network.second),
    ]
    return make_node("PolicyNetwork", inputs, [name], domain=DOMAIN, **network.attributes(frames))


def weigh_histories(graph: ir.Graph) -> None:
    """Let policy networks that share their first layer weigh their previous features at once.

    Those of streams are known when a frame begins, so that half of the layer is read once per
    frame.
    """
    sharing: dict[ir.Value | None, list[ir.Node]] = {}
    for node in graph:
        previous = node.inputs[0] if node.op_type == "PolicyNetwork" else None
        if previous is not None and previous.is_graph_input():
            sharing.setdefault(node.inputs[_SHARED_WEIGHT], []).append(node)
    begin = graph[0]
    for weight, networks in sharing.items():
        if len(networks) < 2:
            continue
        names = [f"{network.outputs[0].name}_history" for network in networks]
        together = make_node(
            "Concat", [network.inputs[0] for network in networks], [f"{names[0]}_features"], axis=0
        )
        weighed = make_node(
            "PolicyHistory", [together.outputs[0], weight], [f"{names[0]}_weighed"], domain=DOMAIN
        )
        parts = make_node("Split", weighed.outputs, names, axis=0, num_outputs=len(names))
        graph.insert_before(begin, [together, weighed, parts])
        for network, part in zip(networks, parts.outputs, strict=True):
            network.resize_inputs(len(network.inputs) + 1)
            network.replace_input_with(len(network.inputs) - 1, part)


class SharedRows:
    """Matrices of which some are others with every row multiplied by a factor.

    Policy networks that share a linear layer have normalisations of their own, which are merged
    into it.  Undone, the layer is one again, and stays in the processor's cache between them.
    """

    def __init__(self) -> None:
        self._matrices: dict[ir.Value, np.ndarray] = {}

    def find(self, weight: ir.Value) -> tuple[ir.Value, np.ndarray]:
        """Return an earlier matrix, or this one, and the factors (rows,) that make this one of it.

        Args:
            weight: a constant, float32 (rows, columns).
        """
        matrix = constant(weight)
        for known, other in self._matrices.items():
            if other.shape == matrix.shape:
                squares = np.einsum("ij,ij->i", other, other, dtype=np.float64)
                products = np.einsum("ij,ij->i", other, matrix, dtype=np.float64)
                factors = np.divide(products, squares, out=products, where=squares > 0)
                # Both were rounded to float32 after the multiplication.
                most = np.abs(matrix).max(1, keepdims=True)
                if (np.abs(matrix - factors[:, None] * other) <= 2e-7 * most).all():
                    return known, factors.astype(np.float32)
        self._matrices[weight] = matrix
        return weight, np.ones(len(matrix), np.float32)
