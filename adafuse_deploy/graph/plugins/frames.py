"""Feature maps as blocks pass them on, in standard operators: into this layout and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from adafuse_deploy.graph.new_nodes import ints_constant, make_node
from adafuse_deploy.ops.triton.block.frames import Frames


class FrameNodes:
    """Makes nodes between feature maps (N * T, C, H, W) and frames (N * T, ``Frames.size``)."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph

    def to_frames(self, value: ir.Value, layout: Frames) -> list[ir.Node]:
        """Return the nodes that bring channels in front of space innermost."""
        name = str(value.name)
        nodes = [make_node("Transpose", [value], [f"{name}_innermost"], perm=[0, 2, 3, 1])]
        if layout.border:  # rows above and below, a pixel in front of each row
            self._add(nodes, "Pad", f"{name}_bordered", (0, 1, 1, 0, 0, 1, 0, 0))
        rows = (layout.size - layout.border * layout.distance,)
        self._add(nodes, "Reshape", f"{name}_rows", (-1, *rows))
        if layout.border:  # and one at the end
            self._add(nodes, "Pad", f"{name}_frames", (0, 0, 0, layout.distance))
        return nodes

    def from_frames(self, frames: ir.Value, layout: Frames, name: str) -> list[ir.Node]:
        """Return the nodes that bring channels back in front of space, as the value ``name``."""
        border = int(layout.border)
        nodes: list[ir.Node] = []
        height = layout.height + 2 * border
        if border:
            used = layout.size - layout.distance
            self._add(nodes, "Slice", f"{name}_rows", (0,), (used,), (1,), source=frames)
        shape = (-1, height, layout.pitch, layout.distance)
        self._add(nodes, "Reshape", f"{name}_bordered", shape, source=frames)
        if border:
            end = np.iinfo(np.int64).max
            self._add(nodes, "Slice", f"{name}_inside", (1, 1), (height - 1, end), (1, 2))
        nodes.append(make_node("Transpose", nodes[-1].outputs, [name], perm=[0, 3, 1, 2]))
        return nodes

    def _add(
        self,
        nodes: list[ir.Node],
        kind: str,
        name: str,
        *numbers: Sequence[int],
        source: ir.Value | None = None,
    ) -> None:
        """Append a node that reads ``source``, or what the last one gives, and constants."""
        value = nodes[-1].outputs[0] if nodes else source
        constants = [ints_constant(self._graph, *vector) for vector in numbers]
        nodes.append(make_node(kind, [value, *constants], [name]))
