"""Nodes of fused operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from adafuse_deploy.graph.new_nodes import make_node
from adafuse_deploy.graph.qdq.removal import Quantisation
from adafuse_deploy.graph.values import plane
from adafuse_deploy.ops.domain import DOMAIN

_SMALLEST_WINOGRAD_PLANE = 100


class FusedOperators:
    """Makes the nodes of fused operators in one precision.

    Args:
        precision: of weights and feature maps: "fp32", "bf16" or "int8".
        quantisation: the scales of an int8 graph.
    """

    def __init__(self, precision: str, quantisation: Quantisation) -> None:
        self._precision = precision
        self._quantisation = quantisation

    def make(
        self,
        kind: str,
        inputs: Sequence[ir.Value | None],
        outputs: Sequence[str | ir.Value],
        maps: list[ir.Value],
        **attributes: Any,
    ) -> ir.Node:
        """Return a node between the feature maps ``maps``.

        Args:
            kind: the operator in float32.
            inputs, outputs, attributes: of the node.
            maps: what it reads, keeps inside and gives, as the portable graph knows them.
        """
        if self._precision == "int8":
            # A picture has values below zero, what comes out of a ReLU has not.
            signed = maps[:1] if kind == "Stem" else []
            attributes["scales"] = self._quantisation.scales_of(maps, signed)
            kind = kind if kind == "ChannelsLast" else f"Quantized{kind}"
        attributes["precision"] = self._precision
        return make_node(kind, inputs, outputs, domain=DOMAIN, **attributes)

    def pays_winograd(self, value: ir.Value) -> bool:
        """Whether 3x3 convolutions of stride 1 that give ``value``'s size use Winograd F(4x4, 3x3).

        It takes a quarter of the multiplications but four times the weights, and pixels in
        multiples of four: on small frames weights are used too seldom, and the last pixels lie
        beyond the edge.
        """
        size = plane(value)
        large = size is not None and size[0] * size[1] >= _SMALLEST_WINOGRAD_PLANE
        return large and self._precision == "fp32"
