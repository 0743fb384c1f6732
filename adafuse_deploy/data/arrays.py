"""Checks of what a caller gives as an array or as decoded frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from adafuse_deploy.core.errors import InputError


def as_array(values: Any) -> np.ndarray:
    """Return what a caller gave as an array.

    Raises:
        InputError: NumPy can make none of it.
    """
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"No array can be made of the input: {error}") from error


def is_array(value: object) -> bool:
    """Whether NumPy knows ``value``: an array, a tensor or a picture of Pillow."""
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def to_frames(images: Any) -> np.ndarray | list[np.ndarray]:
    """Return decoded frames, checked.

    Args:
        images: images (H, W, 3), uint8, RGB, or an array (F, H, W, 3) of them.

    Raises:
        InputError: there is no image, or one has another type or shape.
    """
    if is_array(images):
        frames = as_array(images)
        _check(frames, "(F, H, W, 3)")
        return frames
    try:
        listed = [as_array(image) for image in images]
    except TypeError:
        raise InputError(f"Give a path or decoded frames, not {type(images).__name__}.") from None
    if not listed:
        raise InputError("There is no image in an empty list of frames.")
    for image in listed:
        _check(image, "(H, W, 3)")
    return listed


def _check(images: np.ndarray, shape: str) -> None:
    fits = images.ndim == shape.count(",") + 1 and images.shape[-1] == 3
    if not fits or images.dtype != np.uint8:
        raise InputError(
            f"Decoded frames must be uint8 {shape}, RGB, not {images.dtype} {images.shape}; "
            "normalised clips are for run()."
        )
    if 0 in images.shape:
        raise InputError(f"There is no picture in frames of shape {images.shape}.")
