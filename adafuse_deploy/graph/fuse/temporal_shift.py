"""Recognising the temporal shift in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from adafuse_deploy.graph.values import attribute, given, ints, optional, producer

_TIME, _CHANNELS = 1, 2


@dataclass(frozen=True)
class Shift:
    """The first channels come from the next frame, the following ones from the previous.

    Attributes:
        source: the value (N * T, C, H, W) that is shifted.
        from_next, from_previous: how many channels.
    """

    source: ir.Value
    from_next: int = 0
    from_previous: int = 0


def find_shift(value: ir.Value) -> Shift:
    """Return what ``value`` (N * T, C, H, W) is: a shifted other value, or just itself."""
    merge = producer(value, "Reshape")
    concat = merge and producer(merge.inputs[0], "Concat")
    if concat is None or attribute(concat, "axis") != _CHANNELS:
        return Shift(value)
    parts = [find_part(given(concat, index)) for index in range(len(concat.inputs))]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or len({part.source for part in known}) != 1:
        return Shift(value)
    *moved, own = known
    counts = {1: 0, -1: 0}
    end = 0
    for part, frame in zip(moved, (1, -1) if len(moved) == 2 else (-1,), strict=False):
        if part.frame != frame or part.first != end or part.last is None:
            return Shift(value)
        counts[frame] = part.last - part.first
        end = part.last
    if not moved or own.frame != 0 or own.first != end or own.last is not None:
        return Shift(value)
    split = producer(own.source, "Reshape")
    return Shift(value) if split is None else Shift(given(split, 0), counts[1], counts[-1])


@dataclass(frozen=True)
class Part:
    """Channels ``first``...``last - 1`` (to the end if None) of the frame ``frame`` later."""

    source: ir.Value
    first: int
    last: int | None
    frame: int


def find_part(value: ir.Value) -> Part | None:
    """Return which channels of which frames ``value`` is, or None if it is something else."""
    pads = None
    pad = producer(value, "Pad")
    if pad is not None:
        pads = ints(pad.inputs[1])
        if pads is None or optional(pad, 2) is not None:
            return None
        value = given(pad, 0)
    ranges: dict[int, tuple[int, int | None]] = {}
    while (node := producer(value, "Slice")) is not None:
        found = _slice(node)
        if found is None or found[0] in ranges:
            return None
        axis, start, stop = found
        ranges[axis] = start, stop
        value = given(node, 0)
    if set(ranges) - {_TIME, _CHANNELS}:
        return None
    frames = {(0, None): (0, None), (1, None): (1, [0, 1]), (0, -1): (-1, [1, 0])}
    time = ranges.get(_TIME, (0, None))
    if time not in frames:
        return None
    frame, edges = frames[time]
    if edges is None and pads is not None:
        return None
    if edges is not None and (pads is None or _edges(pads) != edges):
        return None
    first, last = ranges.get(_CHANNELS, (0, None))
    return Part(value, first, last, frame)


def _slice(node: ir.Node) -> tuple[int, int, int | None] | None:
    """Return axis, start and stop (None for the end) of a slice of one axis in steps of one."""
    vectors = [ints(value) for value in node.inputs[1:]]
    if len(vectors) != 4 or any(vector is None or len(vector) != 1 for vector in vectors):
        return None
    (start,), (stop,), (axis,), (step,) = (vector for vector in vectors if vector is not None)
    if step != 1 or start < 0:
        return None
    return axis, start, None if stop > 1 << 30 else stop


def _edges(pads: list[int]) -> list[int] | None:
    """Return how many frames are added in front and behind, or None if other axes are padded."""
    rank = len(pads) // 2
    others = [count for axis, count in enumerate(pads) if axis % rank != _TIME]
    return None if any(others) else [pads[_TIME], pads[rank + _TIME]]
