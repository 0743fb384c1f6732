"""Writing procedural videos to disk, as files that every other verb reads."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.files import atomic_path, write_text
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.synthetic import CLASS_NAMES, RATE, synthetic_clip
from adafuse_deploy.data.video import write_video

LIST_NAME = "list.txt"
CLASSES_NAME = "classes.txt"


def write_dataset(
    folder: str | os.PathLike[str],
    count: int,
    *,
    seed: int = 0,
    size: int = 64,
    num_frames: int = 24,
    as_video: bool = True,
    progress: bool = False,
) -> Path:
    """Write procedural clips, ``list.txt`` and ``classes.txt`` into a new folder, or nothing.

    Args:
        folder: made if missing; must be empty.
        count: number of clips; clip ``i`` is ``00000i.mp4``, or the folder ``00000i`` of
            ``00001.jpg``, ``00002.jpg`` ...
        seed: of the clips; train and test sets need different ones.
        size: side of the frames, in pixels.
        num_frames: length of the videos.
        as_video: encode video files rather than folders of JPEG images.
        progress: show how far it is.

    Returns:
        The path of the list, which is written last.

    Raises:
        InputError: the folder is not empty or cannot be written.
    """
    folder = Path(folder)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    if occupied:
        raise InputError(f"The folder {folder} is not empty; choose a new one.")
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as scratch:
            made = _fill(Path(scratch), count, seed, size, num_frames, as_video, progress)
            for path in made:
                os.replace(path, folder / path.name)
    except BaseException as error:  # a signal, too
        if new:
            folder.rmdir()
        if isinstance(error, OSError):
            raise InputError(f"Cannot write into {folder}: {error.strerror}.") from error
        raise
    return folder / LIST_NAME


def _fill(
    folder: Path,
    count: int,
    seed: int,
    size: int,
    num_frames: int,
    as_video: bool,
    progress: bool,
) -> list[Path]:
    """Write everything into ``folder`` and return it in order, the list last."""
    lines, made = [], []
    for index in show_progress(range(count), "writing", show=progress, unit="clips"):
        clip, label = synthetic_clip(index, seed=seed, size=size, num_frames=num_frames)
        name = f"{index:06d}"
        if as_video:
            made.append(folder / f"{name}.mp4")
            write_video(made[-1], clip, fps=RATE)
            lines.append(f"{name}.mp4 {label}")
        else:
            made.append(folder / name)
            _write_images(made[-1], clip)
            lines.append(f"{name} {num_frames} {label}")
    made += [folder / CLASSES_NAME, folder / LIST_NAME]
    write_text(made[-2], "\n".join(CLASS_NAMES) + "\n")
    write_text(made[-1], "\n".join(lines) + "\n")
    return made


def _write_images(folder: Path, clip: np.ndarray) -> None:
    folder.mkdir()
    for number, frame in enumerate(clip, start=1):
        with atomic_path(folder / f"{number:05d}.jpg") as path:
            Image.fromarray(frame).save(path, quality=95)
