"""Writing procedural videos to disk, as files that every other verb reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from adafuse_deploy.data.synthetic import CLASS_NAMES, synthetic_clip
from adafuse_deploy.data.video import write_video
from adafuse_deploy.errors import InputError
from adafuse_deploy.files import atomic_path, write_text
from adafuse_deploy.progress import progress as show_progress

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
    """Write procedural clips, ``list.txt`` and ``classes.txt`` into a new folder.

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    if occupied:
        raise InputError(f"The folder {folder} is not empty; choose a new one.")
    lines = []
    for index in show_progress(range(count), "writing", show=progress, unit="clips"):
        clip, label = synthetic_clip(index, seed=seed, size=size, num_frames=num_frames)
        name = f"{index:06d}"
        if as_video:
            write_video(folder / f"{name}.mp4", clip)
            lines.append(f"{name}.mp4 {label}")
        else:
            _write_images(folder / name, clip)
            lines.append(f"{name} {num_frames} {label}")
    write_text(folder / CLASSES_NAME, "\n".join(CLASS_NAMES) + "\n")
    write_text(folder / LIST_NAME, "\n".join(lines) + "\n")
    return folder / LIST_NAME


def _write_images(folder: Path, clip: np.ndarray) -> None:
    folder.mkdir()
    for number, frame in enumerate(clip, start=1):
        with atomic_path(folder / f"{number:05d}.jpg") as path:
            Image.fromarray(frame).save(path, quality=95)
