"""What fused blocks hand from frame to frame in a stream graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import onnx_ir as ir

from adafuse_deploy.core.metadata import StateTensor
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock
from adafuse_deploy.ops.frame_layout import frame_units, history_units

_TYPES = {"float32": ir.DataType.FLOAT, "int32": ir.DataType.INT32}


class FusedState:
    """The state of a stream graph while its blocks are fused.

    A fused block remembers what its gated convolution does in the portable graph, the input, the
    result and what is missing of that, but in its own layout.

    Args:
        graph: whose inputs and outputs the state is.
        state: of the portable graph.
        precision: of the blocks.

    Attributes:
        tensors: the state as it is now.
    """

    def __init__(self, graph: ir.Graph, state: Sequence[StateTensor], precision: str) -> None:
        self._graph = graph
        self._portable = list(state)
        self._precision = precision
        self._handed_on: dict[str | None, ir.Value] = {}
        self.tensors = list(state)

    def remember(self, block: ResidualBlock, source: ir.Value) -> list[ir.Value]:
        """Let ``block`` hand on ``source``, its input with channels innermost.

        Returns:
            The outputs by which the fused operator hands on the rest.
        """
        entries = {entry.input: entry for entry in self.tensors}
        previous, convolution, missing = (entries[str(value.name)] for value in block.history)
        entries[previous.input] = replace(
            previous,
            output=str(source.name),
            shape=self._frame(previous.shape, block.border, frame_units),
        )
        entries[convolution.input] = replace(
            convolution, shape=self._frame(convolution.shape, 1, history_units)
        )
        self.tensors = list(entries.values())
        handed_on = [ir.val(convolution.output), ir.val(missing.output)]
        self._handed_on.update({value.name: value for value in (source, *handed_on)})
        return handed_on

    def _frame(
        self, shape: Sequence[int], border: int, units: Callable[[int, str], int]
    ) -> tuple[int, ...]:
        """Return the shape of a frame (C, H, W) in the layout of the fused operators."""
        channels, height, width = shape
        return height + 2 * border, width + 2 * border, units(channels, self._precision)

    def declare(self) -> None:
        """Make the state the graph's inputs and outputs, in place of the portable graph's."""
        if not self._portable:
            return
        for values, side in ((self._graph.inputs, "input"), (self._graph.outputs, "output")):
            known = {**{value.name: value for value in values}, **self._handed_on}
            gone = {getattr(entry, side) for entry in self._portable}
            kept = [value for value in values if value.name not in gone]
            for entry in self.tensors:
                value = known[getattr(entry, side)]
                value.dtype, value.shape = _TYPES[entry.dtype], ir.Shape(["batch", *entry.shape])
                kept.append(value)
            values[:] = kept
