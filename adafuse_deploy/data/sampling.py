"""Which frames of a video make a clip: the segment sampling of TSN (arXiv 1608.00859).

A video of F frames is divided into T segments of equal duration and one frame is taken from each:
the centre frame for evaluation, a random one for training.  All indices count from 0.
"""

from __future__ import annotations

import numpy as np


def center_indices(num_frames: int, num_segments: int) -> np.ndarray:
    """Return the centre frame of every segment: int64 (num_segments,), ascending.

    With fewer frames than segments every frame is taken once and the last one is repeated.
    """
    _check(num_frames, num_segments)
    if num_frames < num_segments:
        return np.minimum(np.arange(num_segments), num_frames - 1)
    tick = num_frames / num_segments
    return (tick / 2 + tick * np.arange(num_segments)).astype(np.int64)


def random_indices(num_frames: int, num_segments: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random frame of every segment: int64 (num_segments,), ascending.

    As in TSN all segments last ``num_frames // num_segments``, so the remainder at the end is never
    drawn.  With fewer frames than segments nothing is left to chance: see :func:`center_indices`.
    """
    _check(num_frames, num_segments)
    duration = num_frames // num_segments
    if duration == 0:
        return center_indices(num_frames, num_segments)
    return np.arange(num_segments) * duration + rng.integers(duration, size=num_segments)


DENSE_WINDOW = 64
"""Frames that a clip of dense sampling spans."""


def uniform_clips(num_frames: int, num_segments: int, clips: int) -> np.ndarray:
    """Return several uniform clips of a video: int64 (clips, num_segments).

    Clip k takes of every segment the frame at (1/2 + k / clips) of its duration, modulo 1: one clip
    is :func:`center_indices`, two are the centres and the beginnings, as TSM tests with
    ("twice sample").  With fewer frames than segments all clips are :func:`center_indices`.
    """
    _check(num_frames, num_segments)
    centre = center_indices(num_frames, num_segments)
    if num_frames < num_segments:
        return np.tile(centre, (clips, 1))
    tick = num_frames / num_segments
    phases = [(0.5 + clip / clips) % 1 for clip in range(clips)]
    later = [(tick * phase + tick * np.arange(num_segments)).astype(np.int64) for phase in phases]
    return np.stack([centre, *later[1:]])


def dense_clips(num_frames: int, num_segments: int, clips: int = 10) -> np.ndarray:
    """Return densely sampled clips of a video: int64 (clips, num_segments).

    As in I3D and TSM's code: each clip takes every ``64 // num_segments``-th frame, and the clips
    begin evenly spaced from the first frame to the last from which 64 remain.  A video that is too
    short begins again.
    """
    _check(num_frames, num_segments)
    stride = max(1, DENSE_WINDOW // num_segments)
    starts = np.linspace(0, max(0, num_frames - DENSE_WINDOW), clips).astype(np.int64)
    return (starts[:, None] + stride * np.arange(num_segments)) % num_frames


def _check(num_frames: int, num_segments: int) -> None:
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"Cannot take {num_segments} segments of {num_frames} frames.")
