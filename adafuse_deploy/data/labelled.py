"""Labelled videos as datasets and evaluation ask for them, and procedural ones in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adafuse_deploy.core.progress import progress
from adafuse_deploy.data.frames import FrameArray, FrameSource
from adafuse_deploy.data.synthetic import synthetic_clip


class LabelledVideo(Protocol):
    """A video of a known class, such as a :class:`adafuse_deploy.data.lists.Record`."""

    @property
    def label(self) -> int:
        """Class, counting from 0."""
        ...

    @property
    def origin(self) -> str:
        """Where the video was listed, for messages."""
        ...

    def open(self) -> FrameSource:
        """Open the frames."""
        ...


@dataclass(frozen=True)
class DrawnVideo:
    """A procedural video, uint8 (F, H, W, 3), and its class."""

    clip: np.ndarray
    label: int
    origin: str = "synthetic clip"

    def open(self) -> FrameSource:
        """Open the frames."""
        return FrameArray(self.clip)


def draw_videos(
    count: int, *, seed: int = 0, size: int = 64, num_frames: int = 24, show_progress: bool = True
) -> list[DrawnVideo]:
    """Draw procedural videos (:mod:`adafuse_deploy.data.synthetic`) into memory.

    Args:
        count: how many; a multiple of 12 has every class equally often.
        seed: of the videos.
        size: side of the frames, in pixels.
        num_frames: length; ``count * num_frames * size**2 * 3`` bytes are kept.
        show_progress: show how far drawing is on standard error.
    """
    return [
        DrawnVideo(*synthetic_clip(index, seed=seed, size=size, num_frames=num_frames))
        for index in progress(range(count), "drawing", show=show_progress, unit="clips")
    ]
