"""Going through labelled videos: reading ahead, running in batches, counting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import Layer
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.labelled import LabelledVideo
from adafuse_deploy.evaluation.result import Confusion, Evaluation
from adafuse_deploy.evaluation.tally import Tally, check_some
from adafuse_deploy.evaluation.views import Views


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a network in whatever runs it.

    Attributes:
        predict: answers clips float32 (B, T, 3, H, W).
        config: its configuration.
        layers: its cost table for frames of the size that it gets.
        gates: the names of its gates in network order.
    """

    predict: Callable[[np.ndarray], Prediction]
    config: ModelConfig
    layers: Sequence[Layer]
    gates: Sequence[str]


def evaluate_videos(
    subject: Subject,
    videos: Sequence[LabelledVideo],
    views: Views | None = None,
    *,
    batch_size: int = 16,
    workers: int = 0,
    progress: bool = False,
    watch: Callable[[np.ndarray, Prediction], None] | None = None,
) -> tuple[Evaluation, Confusion]:
    """Measure a network on labelled videos; a video's logits are the mean over its views.

    Args:
        subject: the network.
        videos: what to recognise.
        views: the parts of each that are looked at; its centre by default.
        batch_size: views that run together, at most.
        workers: threads that read videos ahead; 0 reads between the runs.
        progress: show how far it is on standard error.
        watch: is shown every batch of views (B, T, 3, H, W) and what was predicted.

    Raises:
        InputError: there are no videos, one cannot be read, or a label is not one of the network's
            classes.
        NotFiniteError: the network answers NaN or infinity.
    """
    views = views or Views()
    check_some(len(videos))
    config = subject.config
    tally = Tally(subject.layers, subject.gates, config.num_classes, config.num_segments)
    read = show_progress(
        _read_ahead(videos, lambda video: _cut(video, views, config), workers),
        "evaluating",
        show=progress,
        total=len(videos),
        unit="videos",
    )
    labels = iter([video.label for video in videos])
    waiting: list[np.ndarray] = []  # logits of views whose video is not complete
    for batch in _batches(read, batch_size):
        prediction = subject.predict(batch)
        tally.add_clips(prediction)
        if watch is not None:
            watch(batch, prediction)
        waiting += list(prediction.logits)
        complete = len(waiting) // views.count
        if complete:
            logits = np.stack(waiting[: complete * views.count]).astype(np.float64)
            means = logits.reshape(complete, views.count, -1).mean(1)
            tally.add_videos(means, np.array([next(labels) for _ in range(complete)]))
            del waiting[: complete * views.count]
    return tally.result(), Confusion(tally.confusion, config.class_names)


def _cut(video: LabelledVideo, views: Views, config: ModelConfig) -> np.ndarray:
    try:
        return views.cut(video.open(), config)
    except InputError as error:
        raise InputError(f"{video.origin}: {error}") from error


def _read_ahead(
    videos: Sequence[LabelledVideo], read: Callable[[LabelledVideo], np.ndarray], workers: int
) -> Iterator[np.ndarray]:
    """Yield what ``read`` makes of each video, in order; ``workers`` threads read some ahead."""
    if not workers:
        yield from map(read, videos)
        return
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[np.ndarray]] = deque()
        try:
            for video in videos:
                running.append(pool.submit(read, video))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _batches(arrays: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield the rows of all arrays again, ``size`` at a time."""
    rows: list[np.ndarray] = []
    for array in arrays:
        rows += list(array)
        while len(rows) >= size:
            yield np.stack(rows[:size])
            del rows[:size]
    if rows:
        yield np.stack(rows)
