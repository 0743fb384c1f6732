"""List files: which videos, how many frames, which class; and class files: the classes' names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adafuse_deploy.data.frames import FrameFolder, FrameSource
from adafuse_deploy.data.numbering import Numbering, find_numbering
from adafuse_deploy.data.video import VideoFile
from adafuse_deploy.errors import InputError

SHOWN_PROBLEMS = 20
"""How many bad lines an error message quotes before it only counts them."""


@dataclass(frozen=True)
class Record:
    """One line of a list file.

    Attributes:
        path: a folder of frames or a video file.
        label: class, counting from 0.
        numbering: of the folder's images; None for a video file.
        origin: where the record was listed, for messages.
    """

    path: Path
    label: int
    numbering: Numbering | None = None
    origin: str = ""

    def open(self) -> FrameSource:
        """Open the frames.

        Raises:
            InputError: they are missing or unreadable.
        """
        if self.numbering is None:
            return VideoFile(self.path)
        return FrameFolder(self.path, numbering=self.numbering)


def read_list(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    num_classes: int | None = None,
    template: str | None = None,
) -> list[Record]:
    """Read a list file and check everything it names.

    A line is ``folder num_frames label`` for a folder of frames or ``file label`` for a video
    file (a count before the label is then ignored).  A path may contain spaces, and fields may be
    separated by semicolons, as Mini-Kinetics has them.
    Blank lines and lines that begin with ``#`` are passed over.  Labels count from 0.

    Args:
        path: the list file.
        root: folder that relative paths start from; the list's own by default.
        num_classes: labels must be below it.
        template: file names of the frames, such as ``img_{:05d}.jpg``; found out by default.

    Raises:
        InputError: the list cannot be read or is empty, or lines are malformed, name missing
            folders or files, promise more images than there are, or have a label out of range;
            all such lines are reported together.
    """
    path = Path(path)
    folder = Path(root) if root is not None else path.parent
    records: list[Record] = []
    problems: list[str] = []
    for number, line in enumerate(_read_lines(path), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            record = _check(*_parse(line), folder, num_classes, template)
        except InputError as error:
            problems.append(f"line {number}: {error}")
            continue
        records.append(replace(record, origin=f"{path} line {number}"))
    if problems:
        raise InputError(_summary(path, problems))
    if not records:
        raise InputError(f"The list {path} names no video; add lines 'path num_frames label'.")
    return records


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a class file: one name per line, or ``0,name`` or ``1 name`` with numbers from 0 or 1.

    Raises:
        InputError: the file cannot be read, is empty, or its numbers leave gaps.
    """
    path = Path(path)
    lines = [line for line in _read_lines(path) if line]
    numbered = [re.fullmatch(r"(\d+)(?:\s*,\s*|\s+)(.+)", line) for line in lines]
    if not lines:
        raise InputError(f"The class file {path} is empty; write one class name per line.")
    matches = [match for match in numbered if match]
    if len(matches) < len(lines):
        return tuple(lines)
    names = {int(match[1]): match[2] for match in matches}
    first = min(names)
    if first > 1 or sorted(names) != list(range(first, first + len(lines))):
        raise InputError(
            f"The numbers in the class file {path} do not run from 0 or 1 without gaps; "
            "number the classes in order or leave the numbers out."
        )
    return tuple(names[number] for number in sorted(names))


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable UTF-8 text file ({error}).") from error
    return [line.strip() for line in text.splitlines()]


def _parse(line: str) -> tuple[str, int, int | None]:
    separator = ";" if ";" in line else None
    *front, label = line.rsplit(separator, 1)
    if not front or not label.isdecimal():
        raise InputError(f"{line!r} is neither 'path num_frames label' nor 'path label'.")
    *path, num_frames = front[0].rsplit(separator, 1)
    if path and num_frames.isdecimal():
        return path[0], int(label), int(num_frames)
    return front[0], int(label), None


def _check(
    name: str,
    label: int,
    num_frames: int | None,
    folder: Path,
    num_classes: int | None,
    template: str | None,
) -> Record:
    """Return the record, or say why it cannot be used."""
    path = folder / name
    if num_classes is not None and label >= num_classes:
        raise InputError(
            f"label {label} is out of range; there are {num_classes} classes, from 0 to "
            f"{num_classes - 1}."
        )
    if path.is_file():
        return Record(path, label)
    if num_frames is None:
        raise InputError(f"there is no video file {path}.")
    if num_frames == 0:
        raise InputError(f"the folder {path} is listed with 0 frames.")
    return Record(path, label, find_numbering(path, template, num_frames))


def _summary(path: Path, problems: Sequence[str]) -> str:
    shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"\n  ... and {more} more" if more > 0 else ""
    return f"The list {path} has {len(problems)} unusable lines:\n  {shown}{rest}"
