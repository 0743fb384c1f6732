"""Nodes of fused operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from adafuse_deploy.graph.new_nodes import make_node
from adafuse_deploy.graph.qdq.removal import Quantisation
from adafuse_deploy.graph.values import plane
from adafuse_deploy.ops.frame_layout import layout_version
from adafuse_deploy.ops.operator_schemas import DOMAIN


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
        edge: int,
        **attributes: Any,
    ) -> ir.Node:
        """Return a node between the feature maps ``maps``.

        Args:
            kind: the operator in float32.
            inputs, outputs, attributes: of the node.
            maps: what it reads, keeps inside and gives, as the portable graph knows them.
            edge: pixels of zeros around the frames that it gives.
        """
        if self._precision == "int8":
            # A picture has values below zero, what comes out of a ReLU has not.
            signed = maps[:1] if kind == "Stem" else []
            attributes["scales"] = self._quantisation.scales_of(maps, signed)
            kind = kind if kind == "ChannelsLast" else f"Quantized{kind}"
        attributes |= {"precision": self._precision, "layout_version": layout_version()}
        node = make_node(kind, inputs, outputs, domain=DOMAIN, **attributes)
        size = plane(maps[-1])
        if size:  # by which the operator that reads the frames decides whether Winograd pays
            frames = node.outputs[0]
            frames.dtype = ir.DataType.FLOAT
            frames.shape = ir.Shape([None, *(pixels + 2 * edge for pixels in size), None])
        return node
