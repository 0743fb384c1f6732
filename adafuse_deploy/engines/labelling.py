"""Many videos to rows of labels: processes read videos ahead while the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from adafuse_deploy.core.errors import AdaFuseError
from adafuse_deploy.data.clip_workers import ClipSettings, Reading, read_clips
from adafuse_deploy.data.inputs import Video
from adafuse_deploy.engines.classification import classifications

if TYPE_CHECKING:
    from adafuse_deploy.engines.engine import Engine


def label_columns(top: int) -> dict[str, type]:
    """Return the columns of a table of labels, with ``top`` classes."""
    columns: dict[str, type] = {"path": str}
    for rank in range(1, top + 1):
        columns |= {f"label_{rank}": str, f"class_{rank}": int, f"probability_{rank}": float}
    return columns | {"gmacs": float, "frames": int, "seconds": float, "error": str}


def label_videos(
    engine: Engine,
    videos: Iterable[Video],
    settings: ClipSettings,
    *,
    top: int = 5,
    workers: int = 1,
    warn: Callable[[str], object] = lambda sentence: None,
    tell: Callable[[str], object] = lambda sentence: None,
) -> Iterator[dict[str, Any]]:
    """Yield a row for every video, in the order in which they are ready.

    Args:
        engine: what recognises them.
        videos: files and folders.
        settings: how clips are made, as the engine's network wants them.
        top: how many classes a row has.
        workers: processes that read videos; with 0 each is read when the one before it is labelled.
        warn: takes warnings about videos, one sentence each.
        tell: takes what is logged about them.

    Returns:
        Rows with the columns of :func:`label_columns`; what is not known is None.  A video that
        cannot be used has a row with an error.
    """
    listed = list(videos)
    for reading in read_clips(enumerate(listed), settings, workers):
        for sentence in reading.warnings:
            warn(sentence)
        for sentence in reading.notes:
            tell(sentence)
        row: dict[str, Any] = dict.fromkeys(label_columns(top))
        row |= {"path": listed[reading.number].path, "error": reading.error}
        row |= {"frames": reading.frames, "seconds": reading.seconds}
        try:
            row |= _labels(engine, reading, top)
        except AdaFuseError as error:
            row["error"] = str(error)
        yield row


def _labels(engine: Engine, reading: Reading, top: int) -> dict[str, Any]:
    if reading.clip is None:
        return {}
    prediction = engine.run(reading.clip[None])
    (answer,) = classifications(prediction, engine.metadata.config, top)
    found: dict[str, Any] = {"gmacs": int(prediction.macs[0]) / 1e9}
    for rank, label in enumerate(answer, 1):
        found |= {f"label_{rank}": label.name, f"class_{rank}": label.index}
        found[f"probability_{rank}"] = label.probability
    return found
