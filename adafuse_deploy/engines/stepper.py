"""From one frame of some streams to the next, with the state that a stream graph hands on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from adafuse_deploy.core.cost import gate_widths
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.core.sizes import round_up

Arrays = dict[str, np.ndarray]


class Stepper(Protocol):
    """Some streams in one runtime.

    Attributes:
        state_bytes: what the state of one stream takes.
    """

    state_bytes: int

    def step(self, frames: np.ndarray) -> list[np.ndarray]:
        """Run the next frame float32 (B, 3, H, W): logits (B, K), then policies (B, C)."""
        ...

    def reset(self, streams: int | slice) -> None:
        """Begin one stream, or some, anew."""
        ...


class PingPong:
    """Two sets of state in fixed memory: each step reads one set and writes the other.

    Args:
        metadata: of a stream graph.
        streams: B.
        bind: given arrays for all inputs and all outputs, returns a call that runs the graph from
            and into them.
    """

    def __init__(
        self,
        metadata: GraphMetadata,
        streams: int,
        bind: Callable[[Arrays, Arrays], Callable[[], object]],
    ) -> None:
        state = metadata.state
        self._frame = np.zeros((streams, *metadata.frame_shape), np.float32)
        widths = [metadata.config.num_classes, *gate_widths(metadata.layers)]
        kinds = [np.float32] + [np.int32] * (len(widths) - 1)
        self._results = [np.zeros((streams, w), k) for w, k in zip(widths, kinds, strict=True)]
        results = dict(zip(metadata.outputs, self._results, strict=False))
        self._states = _zeros([((streams, *entry.shape), entry.dtype) for entry in state], sets=2)
        self.state_bytes = sum(array.nbytes for group in self._states for array in group) // streams
        self._runs = []
        for now, then in (self._states, self._states[::-1]):
            inputs = {entry.input: array for entry, array in zip(state, now, strict=True)}
            outputs = {entry.output: array for entry, array in zip(state, then, strict=True)}
            self._runs.append(bind({"frame": self._frame, **inputs}, {**results, **outputs}))
        self._turn = 0

    def step(self, frames: np.ndarray) -> list[np.ndarray]:
        self._frame[:] = frames
        self._runs[self._turn]()
        self._turn = 1 - self._turn
        return [result.copy() for result in self._results]

    def reset(self, streams: int | slice) -> None:
        for array in self._states[self._turn]:
            array[streams] = 0


def _zeros(tensors: Sequence[tuple[tuple[int, ...], str]], sets: int) -> list[list[np.ndarray]]:
    """Return ``sets`` times arrays of these shapes and types, all zeros, side by side in memory.

    NumPy asks for large pages where an array is large enough, as the state as a whole is.
    """
    line = 64
    used = [math.prod(shape) * np.dtype(kind).itemsize for shape, kind in tensors]
    memory = np.zeros(sets * sum(used) + (sets * len(used) + 1) * line, np.uint8)
    begin = -memory.ctypes.data % line
    arrays: list[list[np.ndarray]] = []
    for _ in range(sets):
        arrays.append([])
        for (shape, kind), size in zip(tensors, used, strict=True):
            arrays[-1].append(memory[begin : begin + size].view(kind).reshape(shape))
            begin += round_up(size, line)
    return arrays
