"""Feature maps as fused operators pass them on: channels innermost, and their means over space."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from adafuse_deploy.graph.fuse.operators import FusedOperators
from adafuse_deploy.graph.fuse.stem import find_stem
from adafuse_deploy.graph.fuse.weights import FusedWeights
from adafuse_deploy.graph.new_nodes import ints_constant, make_node


class FusedMaps:
    """What stands for a value (N * T, C, H, W) of the portable graph in the fused one.

    Args:
        graph: gets what is missing.
        operators, weights: make it.

    Attributes:
        means: of a value over space, (N * T, C).
    """

    def __init__(self, graph: ir.Graph, operators: FusedOperators, weights: FusedWeights) -> None:
        self._graph = graph
        self._operators = operators
        self._weights = weights
        self._frames: dict[tuple[ir.Value, int], ir.Value] = {}
        self.means: dict[ir.Value, ir.Value] = {}

    def add(self, value: ir.Value, border: int, node: ir.Node) -> None:
        """Note that the first two outputs of ``node`` are frames and means of ``value``."""
        self._frames[value, border] = node.outputs[0]
        self.means[value] = node.outputs[1]

    def frames(self, value: ir.Value, border: int) -> ir.Value:
        """Return ``value`` with channels innermost; what no fused operator gives is converted.

        Args:
            value: of the portable graph.
            border: pixels of zeros around every frame.
        """
        if (value, border) not in self._frames:
            stem = find_stem(value)
            outputs = frame_names(value)
            if stem is None:
                node = self._operators.make(
                    "ChannelsLast", [value], outputs, [value], border, border=border
                )
            else:
                inputs = [stem.source, *self._weights.convolution(stem.weights)]
                maps, attributes = [stem.source, value], stem.attributes()
                node = self._operators.make(
                    "Stem", inputs, outputs, maps, border, border=border, **attributes
                )
            maker = value.producer()
            assert maker is not None
            self._graph.insert_after(maker, node)
            self.add(value, border, node)
        return self._frames[value, border]

    def restore(self, value: ir.Value, border: int, channels: int) -> ir.Value:
        """Give other nodes that read ``value`` its channels back in front of space.

        Returns:
            What they read from now on.
        """
        frames = self._frames[value, border]
        last = -border or np.iinfo(np.int64).max
        limits = ((border, border, 0), (last, last, channels), (1, 2, 3))
        inside = make_node(
            "Slice",
            [frames, *(ints_constant(self._graph, *numbers) for numbers in limits)],
            [f"{value.name}_inside"],
        )
        restored = make_node("Transpose", inside.outputs, [str(value.name)], perm=[0, 3, 1, 2])
        maker = frames.producer()
        assert maker is not None
        self._graph.insert_after(maker, [inside, restored])
        (result,) = restored.outputs
        result.type, result.shape = value.type, value.shape
        value.replace_all_uses_with(result, replace_graph_outputs=True)
        return result


def frame_names(value: ir.Value) -> list[str]:
    """Return what the frames and the means of ``value`` are called."""
    return [f"{value.name}_innermost", f"{value.name}_pooled"]
