"""One clip of one video, ready for the network, the same for every verb."""

from __future__ import annotations

import os

import numpy as np

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.frames import FrameFolder, FrameSource
from adafuse_deploy.data.sampling import center_indices
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.data.video import VideoFile


def open_clip(
    path: str | os.PathLike[str],
    num_segments: int,
    preprocessing: Preprocessing,
    *,
    template: str | None = None,
    repeat_last: bool = False,
    strict: bool = False,
) -> np.ndarray:
    """Read the centre frame of every segment of a video file or a folder of frames.

    Args:
        path: a video file, or a folder of numbered images.
        num_segments: frames per clip T.
        preprocessing: sizes and normalisation of the network.
        template: file names in a folder, such as ``img_{:05d}.jpg``; found out by default.
        repeat_last: accept a video with fewer than T frames and repeat its last one, as TSN does.
        strict: refuse a video file with damaged frames instead of warning.

    Returns:
        float32 (T, 3, crop, crop).

    Raises:
        InputError: the source is missing, damaged or too short.
    """
    source = open_source(path, template, strict=strict)
    return sampled_clip(source, str(path), num_segments, preprocessing, repeat_last=repeat_last)


def sampled_clip(
    source: FrameSource,
    name: str,
    num_segments: int,
    preprocessing: Preprocessing,
    *,
    repeat_last: bool,
) -> np.ndarray:
    """Do what :func:`open_clip` says with an open source, which messages call ``name``."""
    if num_segments < 1:
        raise InputError(f"A clip has at least 1 frame, not {num_segments}.")
    clip = center_clip(source, num_segments, preprocessing)
    if not repeat_last:
        check_length(source, name, num_segments)
    return clip


def check_length(source: FrameSource, name: str, num_segments: int) -> None:
    """Raise :class:`InputError` where a source has fewer frames than a clip."""
    if source.num_frames < num_segments:
        frames = "1 frame" if source.num_frames == 1 else f"{source.num_frames} frames"
        raise InputError(
            f"{name} has {frames} but the network looks at {num_segments}; give a longer video."
        )


def open_source(
    path: str | os.PathLike[str], template: str | None = None, *, strict: bool = False
) -> FrameSource:
    """Open a video file or a folder of frames, whichever ``path`` is; as :func:`open_clip`."""
    path = os.fspath(path).removeprefix("file://")
    if os.path.isdir(path):
        return FrameFolder(path, template=template)
    return VideoFile(path, strict=strict)


def center_clip(source: FrameSource, num_segments: int, preprocessing: Preprocessing) -> np.ndarray:
    """Return a source's evaluation clip, float32 (T, 3, crop, crop)."""
    frames = source.sample(lambda count: center_indices(count, num_segments))
    return preprocess(frames, preprocessing)
