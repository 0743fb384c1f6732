"""Recognising the temporal shift in an exported graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from adafuse_deploy.graph.index import GraphIndex, attribute

_TIME, _CHANNELS = 1, 2


@dataclass(frozen=True)
class Shift:
    """The first channels come from the next frame, the following ones from the previous.

    Attributes:
        source: the value (N * T, C, H, W) that is shifted.
        from_next, from_previous: how many channels.
    """

    source: str
    from_next: int = 0
    from_previous: int = 0


def find_shift(index: GraphIndex, value: str) -> Shift:
    """Return what ``value`` (N * T, C, H, W) is: a shifted other value, or just itself."""
    merge = index.producer(value, "Reshape")
    concat = merge and index.producer(merge.input[0], "Concat")
    if concat is None or attribute(concat, "axis") != _CHANNELS:
        return Shift(value)
    parts = [find_part(index, name) for name in concat.input]
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
    split = index.producer(own.source, "Reshape")
    if split is None:
        return Shift(value)
    return Shift(split.input[0], counts[1], counts[-1])


@dataclass(frozen=True)
class Part:
    """Channels ``first``...``last - 1`` (to the end if None) of the frame ``frame`` later."""

    source: str
    first: int
    last: int | None
    frame: int


def find_part(index: GraphIndex, value: str) -> Part | None:
    pads = None
    pad = index.producer(value, "Pad")
    if pad is not None:
        pads = index.ints(pad.input[1])
        if pads is None or (len(pad.input) > 2 and pad.input[2]):
            return None
        value = pad.input[0]
    ranges: dict[int, tuple[int, int | None]] = {}
    while (node := index.producer(value, "Slice")) is not None:
        found = _slice(index, node)
        if found is None or found[0] in ranges:
            return None
        axis, start, stop = found
        ranges[axis] = start, stop
        value = node.input[0]
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


def _slice(index: GraphIndex, node: onnx.NodeProto) -> tuple[int, int, int | None] | None:
    """Return axis, start and stop (None for the end) of a slice of one axis in steps of one."""
    vectors = [index.ints(name) for name in node.input[1:]]
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
