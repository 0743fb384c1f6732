"""From a video to its label: where the time goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from adafuse_deploy.benchmark.machine import describe_machine
from adafuse_deploy.benchmark.report import percentiles
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.clips import open_source
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.transforms import preprocess

if TYPE_CHECKING:
    from adafuse_deploy.core.prediction import Prediction
    from adafuse_deploy.engines.engine import Engine

PARTS = ("decode", "preprocess", "inference")


def time_video(
    engine: Engine,
    video: str | os.PathLike[str],
    *,
    rounds: int = 20,
    max_seconds: float = 300.0,
    progress: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    watch: Callable[[np.ndarray, Prediction], None] | None = None,
) -> dict[str, Any]:
    """Recognise a video again and again, the file opened anew each time.

    One round before the first that counts warms up files, memory and threads.

    Args:
        engine: what recognises it.
        video: a video file or a folder of frames.
        rounds: how often, at most.
        max_seconds: of all rounds; the last one is completed.
        progress: show how far it is on standard error.
        clock: gives seconds.
        watch: is shown the last clip (T, 3, H, W) and what was predicted.

    Returns:
        ``parts``: name of each part and "total" -> ``p50_ms``, ``p99_ms`` and ``share`` of the
        total time; ``rounds``; ``frames``, how many the video has; ``best``, its label; ``macs``;
        ``engine``; ``machine``.

    Raises:
        InputError: the video cannot be read.
    """
    config = engine.metadata.config
    taken: list[np.ndarray] = []
    begun = clock()
    for number in show_progress(range(rounds + 1), "timing", show=progress, unit="rounds"):
        marks = [clock()]
        source = open_source(video)
        frames = source.sample(lambda count: center_indices(count, config.num_segments))
        marks.append(clock())
        clip = preprocess(frames, config.preprocessing)
        marks.append(clock())
        prediction = engine.run(clip[None])
        marks.append(clock())
        if number:
            taken.append(np.diff(marks))
            if clock() - begun > max_seconds:
                break
    if watch is not None:
        watch(clip, prediction)
    seconds = np.stack(taken)
    total = seconds.sum(1)
    columns = [*zip(PARTS, seconds.T, strict=True), ("total", total)]
    return {
        "engine": engine.name,
        "video": os.fspath(video),
        "frames": source.num_frames,
        "best": config.labels[int(prediction.top(1)[0, 0])],
        "macs": int(prediction.macs[0]),
        "rounds": len(taken),
        "parts": {
            name: {
                **percentiles(1e3 * column, (50, 99)),
                "share": float(column.sum() / total.sum()),
            }
            for name, column in columns
        },
        "machine": describe_machine(),
    }


def end_to_end_lines(found: dict[str, Any]) -> list[str]:
    """Put what :func:`time_video` found into lines of text."""
    rows = [
        f"{name:<10} {part['p50_ms']:9.1f} ms  {part['p99_ms']:9.1f} ms  {part['share']:6.1%}"
        for name, part in found["parts"].items()
    ]
    return [
        f"{'':<10} {'p50':>12}  {'p99':>12}   share",
        *rows,
        f"{found['best']}: {found['frames']} frames, {found['rounds']} rounds.",
    ]
