"""Taking explicit quantisation (Q/DQ) out of a graph, into a table that fused operators obey."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.index import GraphIndex


@dataclass(frozen=True)
class QuantisedWeight:
    """Names of an int8 weight (Cout, Cin, kH, kW) and of its scales (Cout)."""

    integers: str
    scale: str


@dataclass
class Quantisation:
    """What is quantised in a graph.

    Attributes:
        scales: feature map -> what an integer of one stands for.
        signed: feature maps of signed integers; the others are unsigned.
        weights: float32 weight -> its int8 form.
    """

    scales: dict[str, float] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    weights: dict[str, QuantisedWeight] = field(default_factory=dict)

    def scales_of(self, values: list[str], signed: list[str]) -> list[float]:
        """Return the scales of ``values``, of which those in ``signed`` must be signed integers.

        Raises:
            InputError: one of them is not quantised, or not as it must be.
        """
        missing = [value for value in values if value not in self.scales]
        if missing:
            raise InputError(
                f"The graph is quantised, but {missing[0]} is not; quantise it with "
                "'adafuse-deploy quantize'."
            )
        if self.signed.intersection(values) != set(signed):
            raise InputError(
                "The graph's feature maps are signed integers, as TensorRT wants them; for ONNX "
                "Runtime quantise with --activations uint8."
            )
        return [self.scales[value] for value in values]


def take_quantisation(model: onnx.ModelProto) -> Quantisation:
    """Remove Q/DQ nodes from ``model``, in place, and return what they said.

    Weights come back as float32 constants, next to their int8 form.

    Raises:
        InputError: a feature map's zero is not at zero.
    """
    graph = model.graph
    index = GraphIndex(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found = Quantisation()
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        if node.op_type != "DequantizeLinear":
            kept.append(node)
            continue
        stored, scale, zero = node.input
        if stored in constants:
            values = numpy_helper.to_array(constants[stored]).astype(np.float32)
            factors = numpy_helper.to_array(constants[scale])
            weight = values * factors[:, None, None, None]
            graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
            found.weights[node.output[0]] = QuantisedWeight(stored, scale)
            continue
        quantize = index.producer(stored, "QuantizeLinear")
        assert quantize is not None
        offset = numpy_helper.to_array(constants[zero])
        if offset.any():
            raise InputError(
                f"{quantize.input[0]} is quantised with another zero than 0, which the kernels do "
                "not know; quantise with 'adafuse-deploy quantize'."
            )
        source = quantize.input[0]
        found.scales[source] = float(numpy_helper.to_array(constants[scale]))
        if offset.dtype == np.int8:
            found.signed.add(source)
        renamed[node.output[0]] = source
    for node in kept:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
    del graph.node[:]
    graph.node.extend(kept)
    return found
