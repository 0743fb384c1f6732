"""What fused blocks hand from frame to frame in a stream graph: their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from adafuse_deploy.engines.lowering.blocks import ResidualBlock
from adafuse_deploy.metadata import StateTensor

_VALUE_BYTES = {"fp32": 4, "bf16": 2}
_LINE = 64


class FusedState:
    """The state of a stream graph while its blocks are fused.

    A fused block remembers its input only, in its own layout, and computes from it what is reused;
    so the portable operators' convolutions and what was missing of them go.  One new tensor says
    whether a stream has seen a frame: before that there is nothing to reuse.

    Args:
        state: of the portable graph.
        precision: of the blocks.
    """

    seen = "state_seen"
    _saw = "next_state_seen"

    def __init__(self, state: Sequence[StateTensor], precision: str) -> None:
        self.tensors = list(state)
        self._precision = precision

    def remember(self, block: ResidualBlock, source: str) -> None:
        """Let ``block`` hand on ``source``, its input with channels innermost."""
        kept, *dropped = block.history
        self.tensors = [
            self._innermost(entry, source, block.border) if entry.input == kept else entry
            for entry in self.tensors
            if entry.input not in dropped
        ]
        if self.seen not in {entry.input for entry in self.tensors}:
            self.tensors.append(StateTensor(self.seen, self._saw, (1,), "int32"))

    def _innermost(self, entry: StateTensor, source: str, border: int) -> StateTensor:
        channels, height, width = entry.shape
        line = -(-channels * _VALUE_BYTES[self._precision] // _LINE) * _LINE
        pitch = line if line % (4 * _LINE) else line + _LINE
        shape = (height + 2 * border, width + 2 * border, pitch // 4)
        return replace(entry, output=source, shape=shape)

    def nodes(self) -> list[onnx.NodeProto]:
        """Return the nodes that the new tensor takes."""
        if self.seen not in {entry.input for entry in self.tensors}:
            return []
        one = helper.make_tensor("one", TensorProto.INT32, [1], [1])
        return [
            helper.make_node("Shape", [self.seen], ["state_seen_shape"]),
            helper.make_node("ConstantOfShape", ["state_seen_shape"], [self._saw], value=one),
        ]

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
