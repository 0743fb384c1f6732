"""Decoded frames the way up that players show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame


def upright(frame: VideoFrame) -> np.ndarray:
    """Return a decoded frame as uint8 (H, W, 3) RGB, turned and mirrored as its file says."""
    return orient(frame.to_ndarray(format="rgb24"), display_matrix(frame))


def display_matrix(frame: VideoFrame) -> np.ndarray | None:
    """Return a frame's display matrix, int32 (3, 3) in 16.16 fixed point; None if it has none."""
    from av.sidedata.sidedata import Type

    data: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    return None if data is None else np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)


def orient(image: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """Apply the one of the eight orientations that is nearest to a display matrix.

    The matrix (a b u; c d v; x y w) shows the stored point (p, q), p to the right and q downwards,
    at (a p + c q, b p + d q) (ISO/IEC 14496-12, 6.2.2; FFmpeg's ``libavutil/display.h``).

    Args:
        image: (H, W, ...), as stored.
        matrix: int32 (3, 3), or None for an image that is upright.

    Returns:
        A view of the image: (H, W, ...), or (W, H, ...) where the sides change places.
    """
    if matrix is None:
        return image
    (a, b), (c, d) = matrix[:2, :2].astype(np.int64).tolist()
    right, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.swapaxes(0, 1)
        right, down = c, b
    return image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
