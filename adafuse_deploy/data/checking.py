"""Looking at the videos of a list before the work begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.frames import FrameFolder
from adafuse_deploy.data.media import open_video
from adafuse_deploy.data.record import Record
from adafuse_deploy.data.video import VideoFile


@dataclass(frozen=True)
class Finding:
    """What was seen of a video.

    Attributes:
        error: why it cannot be used; None if it can.
        complaints: what is wrong with it though it can be used.
    """

    error: InputError | None = None
    complaints: tuple[str, ...] = ()


def check_opening(record: Record) -> Finding:
    """See whether a video file opens as one; folders were looked at when they were numbered."""
    if record.numbering is None:
        with open_video(record.path) as (_, stream):
            _check_listed(record, stream.frames)
    return Finding()


def check_wholly(record: Record) -> Finding:
    """Read every frame."""
    if record.numbering is None:
        video = VideoFile(record.path, strict=record.strict, quiet=True)
        video.check()
        _check_listed(record, video.num_frames)
        return Finding(complaints=tuple(video.complaints))
    folder = FrameFolder(record.path, numbering=record.numbering)
    for index in range(folder.num_frames):
        folder.read(index)
    return Finding()


def _check_listed(record: Record, num_frames: int) -> None:
    """Refuse a number before the label that can be no number of frames."""
    if record.listed is not None and 4 * record.listed < num_frames:
        raise InputError(
            f"{record.path} has {num_frames} frames, so the {record.listed} before its label is "
            "not their number; videos with several labels cannot be used."
        )


def check_all(records: Sequence[Record], check: Callable[[Record], Finding]) -> list[Finding]:
    """Check videos on all processors and return what was found, in their order."""

    def look(record: Record) -> Finding:
        try:
            return check(record)
        except InputError as error:
            return Finding(error)

    pool = ThreadPoolExecutor()
    try:
        found = pool.map(look, records)
        from adafuse_deploy.core.progress import progress

        return list(progress(found, "checking", total=len(records), unit="videos"))
    finally:
        pool.shutdown(cancel_futures=True)
