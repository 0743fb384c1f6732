"""How far apart in time the frames of a list's clips are."""

from __future__ import annotations

from collections.abc import Sequence

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.data.record import Record
from adafuse_deploy.data.video import VideoFile

MOST_VIDEOS = 200
"""So many videos, evenly spaced in the list, tell the distribution."""


def measure_spacing(
    records: Sequence[Record], num_segments: int, rate: float | None = None
) -> FrameSpacing | None:
    """Return the frame spacing of clips that take ``num_segments`` frames from whole videos.

    Args:
        records: the videos; files that cannot be read are passed over.
        num_segments: frames per clip T.
        rate: frames a second of folders of images; None when unknown.

    Returns:
        The distribution, or None where no video tells how long it is.
    """
    count = min(MOST_VIDEOS, len(records))
    chosen = [records[place * len(records) // count] for place in range(count)]
    lengths = [_seconds(record, rate) for record in chosen]
    known = [length / num_segments for length in lengths if length]
    return FrameSpacing.of(known) if known else None


def _seconds(record: Record, rate: float | None) -> float | None:
    """Return how long a video is, if it or ``rate`` tells."""
    if record.numbering is not None:
        return record.numbering.count / rate if rate else None
    try:
        return VideoFile(record.path, quiet=True).seconds
    except InputError:
        return None  # whoever reads its frames says why
