"""Taking explicit quantisation (Q/DQ) out of a graph, into a table that fused operators obey."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.graph.new_nodes import add_constant
from adafuse_deploy.graph.values import constant, given, producer


@dataclass(frozen=True)
class QuantisedWeight:
    """An int8 weight (Cout, Cin, kH, kW) and its scales (Cout)."""

    integers: ir.Value
    scale: ir.Value


@dataclass
class Quantisation:
    """What is quantised in a graph.

    Attributes:
        scales: feature map -> what an integer of one stands for.
        signed: feature maps of signed integers; the others are unsigned.
        weights: float32 weight -> its int8 form.
    """

    scales: dict[ir.Value, float] = field(default_factory=dict)
    signed: set[ir.Value] = field(default_factory=set)
    weights: dict[ir.Value, QuantisedWeight] = field(default_factory=dict)

    def scales_of(self, values: list[ir.Value], signed: list[ir.Value]) -> list[float]:
        """Return the scales of ``values``, of which those in ``signed`` must be signed integers.

        Raises:
            InputError: one of them is not quantised, or not as it must be.
        """
        missing = [value for value in values if value not in self.scales]
        if missing:
            raise InputError(
                f"The graph is quantised, but {missing[0].name} is not; quantise it with "
                "'adafuse-deploy quantize'."
            )
        if self.signed.intersection(values) != set(signed):
            raise InputError(
                "The graph's feature maps are signed integers, as TensorRT wants them; for ONNX "
                "Runtime quantise with --activations uint8."
            )
        return [self.scales[value] for value in values]


def take_quantisation(graph: ir.Graph) -> Quantisation:
    """Remove Q/DQ nodes from ``graph``, in place, and return what they said.

    Weights come back as float32 constants, next to their int8 form.

    Raises:
        InputError: a feature map's zero is not at zero.
    """
    found = Quantisation()
    for node in graph:
        if node.op_type != "DequantizeLinear":
            continue
        stored, scale, zero = (given(node, index) for index in range(3))
        if stored.is_initializer():
            factors = constant(scale)[:, None, None, None]
            name = node.outputs[0].name
            assert name is not None
            whole = add_constant(graph, name, constant(stored).astype(np.float32) * factors)
            found.weights[whole] = QuantisedWeight(stored, scale)
        else:
            whole = _rounded_value(stored)
            found.scales[whole] = float(constant(scale))
            offset = constant(zero)
            if offset.any():
                raise InputError(
                    f"{whole.name} is quantised with another zero than 0, which the kernels do not "
                    "know; quantise with 'adafuse-deploy quantize'."
                )
            if offset.dtype == np.int8:
                found.signed.add(whole)
        node.outputs[0].replace_all_uses_with(whole, replace_graph_outputs=True)
        graph.remove(node, safe=True)
    for node in graph:
        if node.op_type == "QuantizeLinear":
            graph.remove(node, safe=True)
    return found


def _rounded_value(stored: ir.Value) -> ir.Value:
    quantize = producer(stored, "QuantizeLinear")
    assert quantize is not None
    return given(quantize, 0)
