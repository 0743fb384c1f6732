"""The videos that files, folders, patterns and lists on a command line stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.list_files import parse_list
from adafuse_deploy.data.numbering import IMAGE_SUFFIXES

LIST_SUFFIXES = (".txt", ".csv", ".json", ".jsonl")
FILE_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv", ".vob", ".gif"),
)
"""By which videos are known in a folder; a file that is named need not have one."""


@dataclass(frozen=True)
class Video:
    """A video to be recognised, which may turn out to be none.

    Attributes:
        path: a file or a folder of images, as it was named.
        num_frames: how many images of the folder are used; None for all.
    """

    path: str
    num_frames: int | None = None


def find_videos(inputs: Sequence[str], root: str | os.PathLike[str] | None = None) -> list[Video]:
    """Return the videos that inputs stand for, each once, in their order.

    Args:
        inputs: video files; folders of numbered images; folders with either in and below them;
            patterns such as ``"clips/*.mp4"`` or ``"**/*.mkv"``; list files as docs/data.md
            describes them.  A file that is missing is returned: its turn will tell.
        root: folder that the paths in lists start from; the list's own by default.

    Raises:
        InputError: a folder, a pattern or a list holds no video, or a list cannot be read.
    """
    found: dict[str, Video] = {}
    for name in inputs:
        count = 0
        for video in _videos(name, root):
            found.setdefault(os.path.normpath(video.path), video)
            count += 1
        if not count:
            raise InputError(f"There is no video in {name}; check the path or the pattern.")
    return list(found.values())


def _videos(name: str, root: str | os.PathLike[str] | None) -> Iterator[Video]:
    name = name.removeprefix("file://")
    if os.path.isdir(name):
        yield from _in_folder(name)
    elif name.lower().endswith(LIST_SUFFIXES):
        yield from _in_list(Path(name), root)
    elif glob.has_magic(name) and not os.path.exists(name):
        for match in sorted(glob.glob(name, recursive=True)):
            yield from _in_folder(match) if os.path.isdir(match) else [Video(match)]
    else:
        yield Video(name)


def _in_folder(folder: str) -> Iterator[Video]:
    """Yield what is in a folder and those below it: video files, or the folder itself if it has
    images only.
    """
    for place, folders, names in os.walk(folder):
        folders.sort()
        shown = sorted(name for name in names if not name.startswith("."))
        files = [name for name in shown if name.lower().endswith(FILE_SUFFIXES)]
        yield from (Video(os.path.join(place, name)) for name in files)
        if not files and any(name.lower().endswith(IMAGE_SUFFIXES) for name in shown):
            folders.clear()
            yield Video(place)


def _in_list(path: Path, root: str | os.PathLike[str] | None) -> Iterator[Video]:
    folder = path.parent if root is None else Path(root)
    for place, entry in parse_list(path, {}, lambda name: os.path.exists(folder / name)):
        if isinstance(entry, InputError):
            raise InputError(f"{path}, {place}: {entry}")
        names = [str(folder / name) for name in entry.paths]
        name = next(filter(os.path.exists, names), names[0])
        yield Video(name, entry.num_frames if os.path.isdir(name) else None)
