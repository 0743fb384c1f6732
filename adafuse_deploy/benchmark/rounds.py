"""Timing contenders in turn and dropping what other programs disturbed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adafuse_deploy.benchmark.contender import Contender
from adafuse_deploy.core.errors import CheckFailed
from adafuse_deploy.core.progress import progress as show_progress

_STAT = Path("/proc/stat")


@dataclass
class Times:
    """Wall-clock milliseconds of a contender's undisturbed runs, and how many were dropped."""

    milliseconds: list[float] = field(default_factory=list)
    dropped: int = 0

    def check(self, name: str, unit: str) -> None:
        """Raise :class:`CheckFailed` if every run was disturbed.

        Args:
            name: of the contender.
            unit: what was timed: "runs" or "frames".
        """
        if not self.milliseconds:
            raise CheckFailed(
                f"All {self.dropped} {unit} of {name} were disturbed by other programs; stop them, "
                "or raise --max-disturbance."
            )


def busy_seconds() -> float:
    """Return the processors' busy time since the machine started; 0 where nobody counts it."""
    if not _STAT.exists():
        return 0.0
    user, nice, system = _STAT.read_text().split(maxsplit=4)[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def time_in_turn(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    warmup: int,
    max_seconds: float,
    max_disturbance: float,
    progress: bool = False,
    busy_seconds: Callable[[], float] = busy_seconds,
) -> list[Times]:
    """Run the contenders in turn until each has ``rounds`` undisturbed samples.

    In turn, because a machine's speed drifts and would favour whatever ran in a good minute.

    Args:
        rounds: wanted samples of each.
        warmup: rounds before those, which do not count.
        max_seconds: stop after this long whatever was collected.
        max_disturbance: processors that other programs may keep busy during a run; a run with more
            is dropped.
        progress: show how far it is on standard error.
        busy_seconds: how long all processors were busy so far.
    """
    for _ in range(warmup):
        for contender in contenders:
            contender.run()
    times = [Times() for _ in contenders]
    end = time.monotonic() + max_seconds
    with show_progress(label="timing", total=rounds, show=progress, unit="rounds") as bar:
        while (done := min(len(entry.milliseconds) for entry in times)) < rounds:
            if time.monotonic() > end:
                break
            bar.update(done - bar.n)
            for contender, entry in zip(contenders, times, strict=True):
                before = busy_seconds()
                start = time.perf_counter()
                sample = contender.run()
                elapsed = time.perf_counter() - start
                others = busy_seconds() - before - sample.cpu_seconds
                if others / elapsed > max_disturbance:
                    entry.dropped += 1
                else:
                    entry.milliseconds.append(1e3 * sample.seconds)
    return times
