"""Replacing residual blocks by one operator each."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from adafuse_deploy.graph.fuse.feature_maps import FusedMaps, frame_names
from adafuse_deploy.graph.fuse.operators import FusedOperators
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock
from adafuse_deploy.graph.fuse.stream_state import FusedState
from adafuse_deploy.graph.fuse.weights import FusedWeights


def fuse_blocks(
    graph: ir.Graph,
    blocks: Sequence[ResidualBlock],
    frames: int,
    maps: FusedMaps,
    operators: FusedOperators,
    weights: FusedWeights,
    state: FusedState,
) -> None:
    """Add a fused operator for every block; T is ``frames``."""
    for block in blocks:
        source = maps.frames(block.shift.source, block.border)
        inputs: list[ir.Value | None] = [source, *_convolutions(block, weights)]
        inputs.append(block.policy)
        if block.shortcut:
            inputs += weights.convolution(block.shortcut, panels=True)
        outputs: list[str | ir.Value] = [*frame_names(block.output)]
        if block.history:
            if not block.shortcut:
                inputs += [None, None]
            inputs += block.history
            outputs += state.remember(block, source)
        node = operators.make(
            block.operator,
            inputs,
            outputs,
            block.feature_maps,
            block.border,
            frames=frames,
            stride=block.stride,
            **_shift_attributes(block),
        )
        maker = block.output.producer()
        assert maker is not None
        graph.insert_before(maker, node)
        maps.add(block.output, block.border, node)


def _convolutions(block: ResidualBlock, weights: FusedWeights) -> list[ir.Value]:
    """Return the weights and biases on the residual path."""
    # The first convolution chooses among its outputs and takes the weights as they are.
    return [
        value
        for index, layer in enumerate(block.weights)
        for value in weights.convolution(layer, panels=index > 0)
    ]


def _shift_attributes(block: ResidualBlock) -> dict[str, int]:
    """Return how a fused block's input is shifted, for conv1 alone or the shortcut too.

    The attributes have other names where the shortcut is not shifted, so that an operator library
    that shifts it always refuses the graph.
    """
    of = "" if block.shifts_shortcut else "conv1_"
    return {
        f"{of}shift_next": block.shift.from_next,
        f"{of}shift_previous": block.shift.from_previous,
    }
