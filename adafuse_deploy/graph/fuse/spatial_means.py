"""Means over space come from the fused operators, which have the feature maps at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from adafuse_deploy.graph.fuse.feature_maps import FusedMaps
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock
from adafuse_deploy.graph.fuse.temporal_shift import Shift, find_shift
from adafuse_deploy.graph.new_nodes import ints_constant, make_node
from adafuse_deploy.graph.values import attribute, given, ints, optional

_SPACE = [2, 3]


def take_means(
    graph: ir.Graph,
    blocks: Sequence[ResidualBlock],
    channels: Mapping[ir.Value, int],
    frames: int,
    maps: FusedMaps,
) -> None:
    """Replace means over space of what fused operators read or give; T is ``frames``.

    Args:
        graph: changed in place.
        blocks: that were fused.
        channels: of their inputs and outputs.
        frames: T.
        maps: what fused operators give.
    """
    for node in list(graph):
        if not is_spatial_mean(node):
            continue
        shift = find_shift(given(node, 0))
        if shift.source not in maps.means:
            readers = [block for block in blocks if block.shift == shift]
            if not readers:
                continue
            maps.frames(shift.source, readers[0].border)
        means = maps.means[shift.source]
        (old,) = node.outputs
        if shift.from_next + shift.from_previous:
            new = _shifted(graph, means, shift, channels[shift.source], frames, str(old.name))
        elif old.is_graph_output():
            new = [make_node("Identity", [means], [str(old.name)])]
        else:
            means.type, means.shape = old.type, old.shape
            old.replace_all_uses_with(means)
            continue
        ir.convenience.replace_nodes_and_values(graph, node, [node], new, [old], new[-1].outputs)


def is_spatial_mean(node: ir.Node) -> bool:
    """Whether a node turns (N * T, C, H, W) into means (N * T, C)."""
    return (
        node.op_type == "ReduceMean"
        and attribute(node, "keepdims", 1) == 0
        and ints(optional(node, 1)) == _SPACE
    )


def _shifted(
    graph: ir.Graph, means: ir.Value, shift: Shift, channels: int, frames: int, name: str
) -> list[ir.Node]:
    """Return the nodes that shift means (N * T, C) as the frames that they are of."""
    nodes: list[ir.Node] = []

    def add(kind: str, value: ir.Value, label: str, *numbers: Sequence[int]) -> ir.Value:
        constants = [ints_constant(graph, *vector) for vector in numbers]
        nodes.append(make_node(kind, [value, *constants], [f"{name}_{label}"]))
        return nodes[-1].outputs[0]

    def cut(value: ir.Value, label: str, first: int, last: int, axis: int) -> ir.Value:
        return add("Slice", value, label, [first], [last], [axis])

    clips = add("Reshape", means, "clips", [-1, frames, channels])
    end = shift.from_next + shift.from_previous
    parts = []
    if shift.from_next:
        moved = cut(clips, "from_next", 0, shift.from_next, axis=2)
        later = cut(moved, "later", 1, frames, axis=1)
        parts.append(add("Pad", later, "next", [0, 0, 0, 0, 1, 0]))
    if shift.from_previous:
        moved = cut(clips, "from_previous", shift.from_next, end, axis=2)
        earlier = cut(moved, "earlier", 0, frames - 1, axis=1)
        parts.append(add("Pad", earlier, "previous", [0, 1, 0, 0, 0, 0]))
    if end < channels:
        parts.append(cut(clips, "own", end, channels, axis=2))
    nodes.append(make_node("Concat", parts, [f"{name}_shifted"], axis=2))
    add("Reshape", nodes[-1].outputs[0], "frames", [-1, channels])
    return nodes
