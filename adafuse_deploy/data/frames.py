"""The frames of one video, and folders of frames: videos already split into numbered images."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.numbering import Numbering, find_numbering

Indices = Sequence[int] | np.ndarray
Frames = Sequence[np.ndarray] | np.ndarray
"""Images uint8 (H, W, 3), RGB: a list, in which sizes may differ, or an array (T, H, W, 3)."""


class FrameSource(ABC):
    """Anything that holds the frames of one video.

    Attributes:
        damaged: how many frames the decoder marked as damaged, once frames were read.
    """

    damaged: int = 0

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """Length of the video.  To find it, a video file is decoded once."""

    @abstractmethod
    def frames(self, indices: Indices) -> Frames:
        """Return the frames at ``indices``, from 0 and in any order.

        Raises:
            InputError: a frame is missing or unreadable.
        """

    def sample(self, choose: Callable[[int], Indices]) -> Frames:
        """Return the frames that ``choose`` picks.

        Args:
            choose: gives the indices for a length of the video.  It may be called twice, because a
                video file's true length is known only after it was decoded.

        Raises:
            InputError: a frame is missing or unreadable.
        """
        return self.frames(choose(self.num_frames))


class FrameArray(FrameSource):
    """The frames of one video in memory.

    Args:
        images: F images uint8 (H, W, 3), RGB, or an array (F, H, W, 3).
    """

    def __init__(self, images: Frames) -> None:
        self._images = images

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        return len(self._images)

    def frames(self, indices: Indices) -> Frames:
        """Return the frames at ``indices`` (from 0): T images uint8 (H, W, 3), RGB."""
        if isinstance(self._images, np.ndarray):
            return self._images[np.asarray(indices)]
        return [self._images[int(index)] for index in indices]


class FrameFolder(FrameSource):
    """A folder of numbered images.

    Args:
        path: the folder.
        num_frames: how many images to use, from the first on; all of them by default.
        template: file name of image ``n``, such as ``img_{:05d}.jpg``; found out by default.
        numbering: what :func:`find_numbering` said of this folder earlier.

    Raises:
        InputError: as :func:`adafuse_deploy.data.numbering.find_numbering`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        num_frames: int | None = None,
        template: str | None = None,
        *,
        numbering: Numbering | None = None,
    ) -> None:
        self.path = Path(path)
        self.numbering = numbering or find_numbering(self.path, template, num_frames)

    @property
    def num_frames(self) -> int:
        """How many images are used."""
        return self.numbering.count

    def frames(self, indices: Indices) -> list[np.ndarray]:
        """Return the frames at ``indices`` (from 0): T images uint8 (H, W, 3), RGB.

        Raises:
            InputError: an image is missing or unreadable.
        """
        images = {int(index): self.read(int(index)) for index in set(indices)}
        return [images[int(index)] for index in indices]

    def read(self, index: int) -> np.ndarray:
        """Return the image at ``index`` (from 0): uint8 (H, W, 3), RGB.

        Raises:
            InputError: it is missing or unreadable.
        """
        return read_image(self.path / self.numbering.template.format(self.numbering.first + index))


def read_image(file: Path) -> np.ndarray:
    """Return an image file as uint8 (H, W, 3) RGB, upright; 16 bits of grey become 8.

    Raises:
        InputError: it is missing, damaged, or has pixels of unknown range.
    """
    try:
        with Image.open(file) as stored:
            image = ImageOps.exif_transpose(stored)
            if image.mode.startswith("I"):
                return _grey16(image, file)
            if image.mode == "F":
                raise InputError(f"The image {file} has floating-point pixels; save it in 8 bits.")
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise InputError(f"The image {file} is missing: extract the frames again.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"The image {file} is damaged: extract the frames again.") from error


def _grey16(image: Image.Image, file: Path) -> np.ndarray:
    """Scale 0...65535 to 0...255; Pillow's own conversion cuts off everything above 255."""
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min(initial=0) < 0 or pixels.max(initial=0) > 65535:
        raise InputError(f"The image {file} has pixels of more than 16 bits; save it in 8 bits.")
    grey = ((pixels * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
