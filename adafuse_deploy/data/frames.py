"""Frame folders: a video already split into numbered images, as action data sets are shared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from adafuse_deploy.errors import InputError

IMAGE_TEMPLATES = ("{:05d}.jpg", "img_{:05d}.jpg", "{:06d}.jpg", "image_{:05d}.jpg")
"""File names that are recognised by themselves; frames count from 1."""


class FrameSource(Protocol):
    """Anything that holds the frames of one video."""

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        ...

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the frames at ``indices`` (from 0): uint8 (T, H, W, 3), RGB."""
        ...


class FrameFolder:
    """A folder of numbered images.

    Args:
        path: the folder.
        num_frames: how many images to use; all of them by default.
        template: file name of image ``n``, such as ``img_{:05d}.jpg``, counting from 1; found out
            by default.

    Raises:
        InputError: no image fits the template, or none of :data:`IMAGE_TEMPLATES`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        num_frames: int | None = None,
        template: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.template = find_template(self.path, (template,) if template else IMAGE_TEMPLATES)
        self.num_frames = num_frames or self._count()

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the frames at ``indices`` (from 0): uint8 (T, H, W, 3), RGB.

        Raises:
            InputError: an image is missing, unreadable, or of another size than the others.
        """
        images = {int(index): self._read(int(index)) for index in set(indices)}
        return stack([images[int(index)] for index in indices], self.path)

    def _read(self, index: int) -> np.ndarray:
        file = self.path / self.template.format(index + 1)
        try:
            with Image.open(file) as image:
                return np.asarray(image.convert("RGB"))
        except FileNotFoundError as error:
            raise InputError(f"The image {file} is missing: extract the frames again.") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"The image {file} is damaged: extract the frames again.") from error

    def _count(self) -> int:
        count = 1
        while (self.path / self.template.format(count + 1)).is_file():
            count += 1
        return count


def find_template(folder: Path, templates: Sequence[str] = IMAGE_TEMPLATES) -> str:
    """Return the first of ``templates`` that names image 1 of ``folder``.

    Raises:
        InputError: none does, a template is malformed, or the folder is missing.
    """
    for template in templates:
        _check_template(template)
    for template in templates:
        if (folder / template.format(1)).is_file():
            return template
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; check the path.")
    names = " or ".join(template.format(1) for template in templates)
    raise InputError(
        f"The folder {folder} has no first image {names}; give the names of its images, such as "
        "--template 'frame_{:04d}.png'."
    )


def _check_template(template: str) -> None:
    try:
        numbered = template.format(1) != template.format(2)
    except (IndexError, KeyError, ValueError):
        numbered = False
    if not numbered:
        raise InputError(
            f"The template {template!r} does not number the images; give one such as "
            "'img_{:05d}.jpg'."
        )


def stack(images: Sequence[np.ndarray], path: Path) -> np.ndarray:
    """Join images (H, W, 3) of one source into (T, H, W, 3).

    Raises:
        InputError: they differ in size.
    """
    if len({image.shape for image in images}) > 1:
        raise InputError(f"The frames of {path} differ in size; make them all alike.")
    return np.stack(images)
