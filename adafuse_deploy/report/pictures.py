"""Frames as a page holds them: small, inside of it."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from adafuse_deploy.core.config import Preprocessing

SIDE = 112
"""Pixels, at most: twice what a phone shows of each of eight frames."""


def thumbnails(clip: np.ndarray, preprocessing: Preprocessing, side: int = SIDE) -> list[str]:
    """Return what the network sees of each frame, as addresses that hold a JPEG.

    Args:
        clip: float32 (T, 3, H, W), normalised.
        preprocessing: how.
        side: of the pictures, in pixels, at most.
    """
    mean = np.array(preprocessing.mean, np.float32)[:, None, None]
    std = np.array(preprocessing.std, np.float32)[:, None, None]
    pixels = (clip * std + mean) / np.float32(preprocessing.scale)
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    if preprocessing.channel_order == "bgr":
        pixels = pixels[..., ::-1]
    return [_address(image, side) for image in pixels]


def _address(pixels: np.ndarray, side: int) -> str:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
