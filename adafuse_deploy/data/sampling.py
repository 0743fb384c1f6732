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


def _check(num_frames: int, num_segments: int) -> None:
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"Cannot take {num_segments} segments of {num_frames} frames.")
