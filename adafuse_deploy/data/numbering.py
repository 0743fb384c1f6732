"""How the images of a folder are numbered: the pattern of their names, the first, how many."""

from __future__ import annotations

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from adafuse_deploy.core.errors import InputError, InputWarning
from adafuse_deploy.data.list_files import VIDEO_SUFFIXES

IMAGE_TEMPLATES = ("{:05d}.jpg", "img_{:05d}.jpg", "{:06d}.jpg", "image_{:05d}.jpg")
"""Names that are taken first where a folder holds images of several patterns."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
"""What images are recognised by, in capitals too."""

_SHOWN = 5
"""How many gaps or patterns a message names."""


@dataclass(frozen=True)
class Numbering:
    """The images of one video.

    Attributes:
        template: name of image ``n``, such as ``img_{:05d}.jpg``.
        first: number of the first image.
        count: how many there are; their numbers have no gaps.
    """

    template: str
    first: int
    count: int


def find_numbering(
    folder: str | os.PathLike[str], template: str | None = None, count: int | None = None
) -> Numbering:
    """Read a folder once and say how its images are numbered.

    Args:
        folder: where the images lie.
        template: name of image ``n``, as ``img_{:05d}.jpg`` or ``img_%05d.jpg``; by default the
            pattern is found: any prefix, number of digits and suffix of :data:`IMAGE_SUFFIXES`.
        count: use so many images from the first on; all by default.

    Raises:
        InputError: the folder is missing, no image fits, several patterns do, numbers are missing
            between the images, or there are fewer than ``count``.
    """
    if template is None:
        names = _list(Path(folder))
        return _checked(Path(folder), *_choose(Path(folder), names), count)
    template = check_template(template)
    *below, name = template.rpartition("/")
    place = Path(folder, "".join(below))
    names = _list(place)
    numbers = _fitting(names, name)
    if not numbers:
        raise InputError(f"The folder {place} has no image {name.format(1)}; {_advice(names)}")
    return replace(_checked(place, name, numbers, count), template=template)


def check_template(template: str) -> str:
    """Return a template in Python's form.

    Raises:
        InputError: it does not number the images.
    """
    if "{" not in template:
        template = re.sub(r"%(0\d+)?d", lambda match: f"{{:{match[1] or ''}d}}", template, count=1)
    try:
        numbered = template.format(1) != template.format(2)
    except (IndexError, KeyError, ValueError):
        numbered = False
    if not numbered or "/" in template.format(1).removeprefix(template.rpartition("/")[0] + "/"):
        raise InputError(
            f"The template {template!r} does not number the images; give one such as "
            "'img_{:05d}.jpg'."
        )
    return template


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError as error:
        raise InputError(f"There is no folder {folder}; check the path.") from error
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _patterns(names: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of the images of every pattern."""
    digits: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        match = re.fullmatch(r"(?!\.)(.*?)([0-9]+)(\D*)", name, re.DOTALL)
        if match and name.lower().endswith(IMAGE_SUFFIXES) and "." in match[3]:
            digits[match[1], match[3]].append(match[2])
    numbers: dict[str, list[int]] = defaultdict(list)
    for (prefix, suffix), texts in digits.items():
        padded = {len(text) for text in texts if text[0] == "0" and len(text) > 1}
        for text in texts:
            # 1000 belongs to 0999, and so does 10000 if it is there.
            width = max((width for width in padded if width <= len(text)), default=0)
            form = f"{{:0{width}d}}" if width else "{:d}"
            numbers[_literal(prefix) + form + _literal(suffix)].append(int(text))
    return numbers


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _fitting(names: Iterable[str], template: str) -> list[int]:
    """Return the numbers of the images that a template names."""
    return [
        number
        for name in names
        for number in {int(digits) for digits in re.findall(r"[0-9]+", name)}
        if template.format(number) == name
    ]


def _choose(folder: Path, names: Sequence[str]) -> tuple[str, list[int]]:
    """Return the pattern of a folder's images and their numbers."""
    patterns = _patterns(names)
    # A cover or a thumbnail beside the images is none of them.
    several = {template: numbers for template, numbers in patterns.items() if len(numbers) > 1}
    patterns = several or patterns
    if not patterns:
        videos = [name for name in sorted(names) if name.lower().endswith(VIDEO_SUFFIXES)]
        if videos:
            raise InputError(
                f"The folder {folder} holds no images but videos, such as {videos[0]}; give one of "
                "them, or all to 'adafuse-deploy classify --output'."
            )
        raise InputError(
            f"The folder {folder} has no numbered images; give their names, such as "
            "--template 'frame_{:04d}.png'."
        )
    known = [template for template in IMAGE_TEMPLATES if template in patterns]
    if len(patterns) > 1 and not known:
        names = " and ".join(sorted(patterns)[:_SHOWN])
        raise InputError(
            f"The folder {folder} has images of {len(patterns)} patterns, {names}; choose one with "
            f"--template '{sorted(patterns)[0]}'."
        )
    template = known[0] if known else next(iter(patterns))
    return template, patterns[template]


def _checked(folder: Path, template: str, numbers: Iterable[int], count: int | None) -> Numbering:
    """Return the numbering, or say which images are missing."""
    numbers = sorted(numbers)
    first, last = numbers[0], numbers[-1]
    if count is not None:
        last = first + count - 1
        if last > numbers[-1]:
            raise InputError(
                f"the folder {folder} has no {template.format(last)}, but {count} frames are "
                f"listed; its images are {template.format(first)} to "
                f"{template.format(numbers[-1])}."
            )
    elif first > 1:
        warnings.warn(
            InputWarning(f"The images of {folder} begin with {template.format(first)}."),
            stacklevel=2,
        )
    present = [number for number in numbers if number <= last]
    if len(present) < last - first + 1:
        raise InputError(
            f"The folder {folder} lacks {_gaps(template, present)}: extract the frames again, or "
            "number them without gaps."
        )
    return Numbering(template, first, last - first + 1)


def _gaps(template: str, numbers: Sequence[int]) -> str:
    """Name the images that are missing between ascending numbers."""
    pairs = pairwise(numbers)
    gaps = [(left + 1, right - 1) for left, right in pairs if right > left + 1]
    shown = [
        template.format(left) + (f" to {template.format(right)}" if right > left else "")
        for left, right in gaps[:_SHOWN]
    ]
    if len(gaps) > _SHOWN:
        return f"{', '.join(shown)} and images at {len(gaps) - _SHOWN} more places"
    return " and ".join(shown)


def _advice(names: Iterable[str]) -> str:
    found = _patterns(names)
    if not found:
        return "there are no numbered images in it."
    return f"its images are named {' and '.join(sorted(found)[:_SHOWN])}."
