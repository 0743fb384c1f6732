"""What happens when in a long video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from adafuse_deploy.data.windows import Window
from adafuse_deploy.engines.classification import Classification


@dataclass(frozen=True)
class Segment:
    """A span of a video in which one class is the most probable.

    Attributes:
        start, end: seconds from the first frame.
        label: name of the class.
        index: of the class, from 0.
        probability: mean over the windows that stand for the span, weighted by their shares of it.
        macs: multiply-accumulates per clip, the mean in the same way.
        windows: how many windows stand for it.
    """

    start: float
    end: float
    label: str
    index: int
    probability: float
    macs: float
    windows: int = 1


def timeline(windows: Sequence[Window], answers: Iterable[Classification]) -> list[Segment]:
    """Put the answers for windows together to segments that follow on each other without gaps.

    A window stands for what is nearer to its middle than to any other's; neighbours of one class
    are one segment.

    Args:
        windows: ascending.
        answers: one for each.
    """
    middles = [(window.start + window.end) / 2 for window in windows]
    borders = [(before + after) / 2 for before, after in pairwise(middles)]
    borders = [windows[0].start, *borders, windows[-1].end]
    segments: list[Segment] = []
    for (start, end), answer in zip(pairwise(borders), answers, strict=True):
        best = answer.best
        macs = float(answer.prediction.macs[0])
        segment = Segment(start, end, best.name, best.index, best.probability, macs)
        if segments and segments[-1].index == segment.index:
            segment = _merged(segments.pop(), segment)
        segments.append(segment)
    return segments


def _merged(first: Segment, second: Segment) -> Segment:
    shares = first.end - first.start, second.end - second.start
    total = sum(shares)

    def mean(one: float, other: float) -> float:
        return (one * shares[0] + other * shares[1]) / total

    return Segment(
        first.start,
        second.end,
        first.label,
        first.index,
        mean(first.probability, second.probability),
        mean(first.macs, second.macs),
        first.windows + second.windows,
    )
