"""Which layers of the cost table each node of a graph computes."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adafuse_deploy.core.decisions import gate_title
from adafuse_deploy.core.metadata import GraphMetadata

if TYPE_CHECKING:
    import onnx

_PASSED_ON = ("DequantizeLinear", "QuantizeLinear", "Cast", "Transpose")
"""What may stand between a node and its weights."""
_ABSORBED = ("Relu", "Add", "QuantizeLinear", "DequantizeLinear")
"""What ONNX Runtime makes part of the convolution or linear layer in front."""
_COMPUTES = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul")
_OF_RUNTIME = re.compile(r"^fused |_nchwc$|_quant$|/.*$")
"""What ONNX Runtime adds to the name of a node or value that it changes."""
_INNER = re.compile(r"\.(conv[123]|downsample|fc\d)$")


@dataclass(frozen=True)
class NodeLayers:
    """What a node of the graph computes.

    Attributes:
        name: of the part of the network: "conv1", "layer2.0", "layer2.0.gate1".
        layers: places in the cost table.
        state_bytes: of the state that it reads and writes, for one stream.
    """

    name: str
    layers: tuple[int, ...]
    state_bytes: int


class GraphNodes:
    """The nodes of a graph file.

    Args:
        path: of an exported or fused graph.
        metadata: of that graph.

    Attributes:
        operators: node -> operator.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: GraphMetadata) -> None:
        import onnx

        graph = onnx.load(path, load_external_data=False).graph
        self._metadata = metadata
        self._constants = {tensor.name for tensor in graph.initializer}
        self._producers = {name: node for node in graph.node for name in node.output if name}
        self._by_name = {node.name: node for node in graph.node}
        self.operators = {node.name: node.op_type for node in graph.node}
        self._layers = self._match(graph.node)
        sizes = {state.input: state for state in metadata.state}
        sizes |= {state.output: state for state in metadata.state}
        self._state = {name: 4 * _product(state.shape) for name, state in sizes.items()}

    def find(self, name: str, operator: str) -> NodeLayers | None:
        """Return what a node computes, by the name that ONNX Runtime gives it.

        Args:
            name: of the node; changed, where the runtime changed the node.
            operator: as the runtime calls it.

        Returns:
            None for a node that no layer's multiply-accumulates belong to.
        """
        node = self._by_name.get(name)
        if node is None:
            plain = _OF_RUNTIME.sub("", _OF_RUNTIME.sub("", name))
            node = self._by_name.get(plain) or self._producers.get(plain)
        while node is not None and not self._layers.get(node.name):
            absorbed = operator in _COMPUTES and node.op_type in _ABSORBED
            node = self._producers.get(node.input[0]) if absorbed and node.input else None
        if node is None:
            return None
        layers = self._layers[node.name]
        state = sum(self._state.get(value, 0) for value in (*node.input, *node.output))
        return NodeLayers(part_name([self._metadata.layers[i].name for i in layers]), layers, state)

    def _match(self, nodes: Sequence[onnx.NodeProto]) -> dict[str, tuple[int, ...]]:
        """Return the layers of each node: by its weights' names; of policy networks by their order.

        It is that of the gates; the weights' names do not tell networks apart that share them.
        """
        table = self._metadata.layers
        of_policies = [index for index, layer in enumerate(table) if layer.policy]
        by_name = {layer.name: index for index, layer in enumerate(table)}
        by_gate: dict[str, list[int]] = defaultdict(list)
        for index in of_policies:
            by_gate[table[index].name.rpartition(".")[0]].append(index)
        found: dict[str, tuple[int, ...]] = {}
        fused: list[str] = []
        linear: list[str] = []
        for node in nodes:
            if node.op_type == "PolicyNetwork":
                fused.append(node.name)
                continue
            if node.op_type == "PolicyHistory":
                continue  # a part of policy networks, which count it
            weights = {self._weight(value) for value in node.input}
            named = {by_name[name] for name in weights if name in by_name}
            if any(table[index].policy for index in named):
                linear.append(node.name)
            elif named:
                found[node.name] = tuple(sorted(named))
        if len(fused) == len(self._metadata.gates):
            gates = zip(fused, self._metadata.gates, strict=True)
            found |= {node: tuple(by_gate[gate]) for node, gate in gates}
        if len(linear) == len(of_policies):
            found |= {node: (index,) for node, index in zip(linear, of_policies, strict=True)}
        return found

    def _weight(self, value: str) -> str:
        """Return the layer that a constant belongs to by its name, or ""."""
        while value not in self._constants:
            node = self._producers.get(value)
            if node is None or node.op_type not in _PASSED_ON:
                return ""
            value = node.input[0]
        if ".weight" not in value:
            return ""
        return value.partition(".weight")[0].removeprefix("model.").removesuffix(".conv")


def part_name(layers: Sequence[str]) -> str:
    """Return what layers have in common: that of a block's is the block."""
    if len(layers) == 1:
        return gate_title(layers[0])
    whole = Counter(_INNER.sub("", name) for name in layers).most_common(1)[0][0]
    return gate_title(whole)


def _product(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
