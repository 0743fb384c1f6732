"""Where pixels and channels lie in memory: the sizes of frames, in elements."""

from __future__ import annotations

from dataclasses import dataclass

from adafuse_deploy.core.sizes import round_up

BYTES = {"fp16": 2, "bf16": 2, "fp32": 4, "int8": 1}
"""Of one element."""

LINE = 64
"""Pixels of compact frames are a multiple of this many channels apart."""


def unit(dtype: str) -> int:
    """Return the channels in 16 bytes: runs of channels begin at multiples of it."""
    return 16 // BYTES[dtype]


@dataclass(frozen=True)
class Frames:
    """Frames whose channels lie innermost, ``distance`` elements from pixel to pixel.

    With a border, a row of zeros lies above and below, and one pixel of zeros between rows, which
    is the right border of one and the left border of the next; another one ends the frame.  Tap
    (i, j) of a 3x3 convolution reads pixel ``(h + i) * pitch + w + j`` for output (h, w).
    """

    height: int
    width: int
    distance: int
    border: bool = False

    @property
    def pitch(self) -> int:
        """Pixels from row to row."""
        return self.width + self.border

    @property
    def first(self) -> int:
        """Where pixel (0, 0) lies, in pixels."""
        return self.pitch + 1 if self.border else 0

    @property
    def size(self) -> int:
        """Elements of a frame, border included."""
        rows = self.height + 2 * self.border
        return (rows * self.pitch + self.border) * self.distance


def compact_frames(height: int, width: int, channels: int, dtype: str) -> Frames:
    """Return the frames that hold the listed ones of ``channels`` channels, border included."""
    return Frames(height, width, round_up(channels + 2 * unit(dtype), LINE), border=True)
