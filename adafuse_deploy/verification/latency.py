"""Timing several things fairly on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.core.progress import progress as show_progress


@dataclass(frozen=True)
class Latency:
    """Percentiles of the wall-clock time of one call, in milliseconds, over ``rounds`` calls."""

    p50: float
    p90: float
    p99: float
    rounds: int


def interleave(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 20,
    warmup: int = 3,
    progress: bool = False,
) -> dict[str, Latency]:
    """Time the calls in turn, round after round.

    In turn, because a machine's speed drifts (heat, clock, neighbours) and would favour whatever
    ran in a good minute.

    Args:
        calls: name -> what to time; it must return only when its work is done.
        rounds: how often each is timed.
        warmup: rounds before those, which are not timed.
        progress: show how far it is on standard error.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in show_progress(range(-warmup, rounds), "timing", show=progress, unit="rounds"):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: _percentiles(values) for name, values in seconds.items()}


def _percentiles(seconds: list[float]) -> Latency:
    p50, p90, p99 = (1e3 * np.percentile(seconds, [50, 90, 99])).tolist()
    return Latency(p50, p90, p99, len(seconds))
