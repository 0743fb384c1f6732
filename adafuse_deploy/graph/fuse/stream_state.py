"""What fused blocks hand from frame to frame in a stream graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from adafuse_deploy.core.metadata import StateTensor
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock

_VALUE_BYTES = {"fp32": 4, "bf16": 2}
_LINE = 64


class FusedState:
    """The state of a stream graph while its blocks are fused.

    A fused block remembers what its gated convolution does in the portable graph, the input, the
    result and what is missing of that, but in its own layout.

    Args:
        state: of the portable graph.
        precision: of the blocks.
    """

    def __init__(self, state: Sequence[StateTensor], precision: str) -> None:
        self.tensors = list(state)
        self._precision = precision

    def remember(self, block: ResidualBlock, source: str) -> list[str]:
        """Let ``block`` hand on ``source``, its input with channels innermost.

        Returns:
            The names of the outputs by which the fused operator hands on the rest.
        """
        entries = {entry.input: entry for entry in self.tensors}
        previous, convolution, missing = (entries[name] for name in block.history)
        # What is reused begins on a cache line of its own.
        room = _LINE // _VALUE_BYTES[self._precision]
        entries[previous.input] = replace(
            previous, output=source, shape=self._frame(previous.shape, block.border)
        )
        entries[convolution.input] = replace(
            convolution, shape=self._frame(convolution.shape, 1, room)
        )
        self.tensors = list(entries.values())
        return [convolution.output, missing.output]

    def _frame(self, shape: Sequence[int], border: int, room: int = 0) -> tuple[int, ...]:
        """Return the shape of a frame (C, H, W), with ``room`` more channels, in the layout."""
        channels, height, width = shape
        line = -(-(channels + room) * _VALUE_BYTES[self._precision] // _LINE) * _LINE
        pitch = line if line % (4 * _LINE) else line + _LINE
        return height + 2 * border, width + 2 * border, pitch // 4

    def declare(self, graph: onnx.GraphProto, before: Sequence[StateTensor]) -> None:
        """Make the state the graph's inputs and outputs, in place of those ``before``."""
        kinds = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}
        for values, side in ((graph.input, "input"), (graph.output, "output")):
            gone = {getattr(entry, side) for entry in before}
            kept = [value for value in values if value.name not in gone]
            kept += [
                helper.make_tensor_value_info(
                    getattr(entry, side), kinds[entry.dtype], ["batch", *entry.shape]
                )
                for entry in self.tensors
            ]
            del values[:]
            values.extend(kept)
