"""From decoded frames to network input: one evaluation path, one training path, one normalisation.

A clip of decoded frames is uint8 (T, H, W, 3) in RGB; network input is float32 (T, 3, crop, crop).
Resizing is Pillow's antialiased bilinear filter everywhere, so every verb sees the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from adafuse_deploy.config import Preprocessing
from adafuse_deploy.data.flips import Flip, check_flip
from adafuse_deploy.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """What training varies.

    Attributes:
        scales: sides of the random crop, as fractions of the frame's short side (TSN's four).
        flip: whether and how clips are mirrored, each with probability one half.
    """

    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    flip: Flip = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise InputError(f"Crop scales lie in (0, 1], not {self.scales}.")
        check_flip(self.flip)


def preprocess(frames: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resize the short side, crop the centre and normalise, as evaluation and deployment do.

    Args:
        frames: uint8 (T, H, W, 3), RGB.
        preprocessing: sizes and normalisation of the network.

    Returns:
        float32 (T, 3, crop, crop).
    """
    height, width = frames.shape[1:3]
    short, crop = preprocessing.resize, preprocessing.crop
    scaled = (max(short, short * height // width), max(short, short * width // height))
    top, left = (round((side - crop) / 2) for side in scaled)
    resized = resize(frames, *scaled)[:, top : top + crop, left : left + crop]
    return normalize(resized, preprocessing)


def augment(
    frames: np.ndarray,
    label: int,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Crop at a random scale and place, mirror at random, and normalise, as training does.

    As in TSN the crop's width and height are neighbouring ``scales`` of the short side and its
    place is one of thirteen fixed ones; all frames of the clip share both.

    Args:
        frames: uint8 (T, H, W, 3), RGB.
        label: the clip's class.
        preprocessing: crop size and normalisation of the network.
        augmentation: what to vary.
        rng: source of all randomness.

    Returns:
        float32 (T, 3, crop, crop) and the label, which mirroring may have changed.
    """
    crop = preprocessing.crop
    top, left, height, width = _random_box(frames.shape[1:3], augmentation.scales, rng)
    frames = resize(frames[:, top : top + height, left : left + width], crop, crop)
    if augmentation.flip != "none" and rng.random() < 0.5:
        frames = frames[:, :, ::-1]
        if not isinstance(augmentation.flip, str):
            label = augmentation.flip.get(label, label)
    return normalize(frames, preprocessing), label


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize every frame: uint8 (T, H, W, 3) to uint8 (T, height, width, 3)."""
    if frames.shape[1:3] == (height, width):
        return frames
    images = (Image.fromarray(np.ascontiguousarray(frame)) for frame in frames)
    return np.stack(
        [np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)) for image in images]
    )


def normalize(frames: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Apply channel order, scale, mean and std: uint8 (T, H, W, 3) to float32 (T, 3, H, W)."""
    if preprocessing.channel_order == "bgr":
        frames = frames[..., ::-1]
    clip = frames.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    clip *= np.float32(preprocessing.scale)
    clip -= np.array(preprocessing.mean, np.float32)[:, None, None]
    clip /= np.array(preprocessing.std, np.float32)[:, None, None]
    return clip


# Quarters of the free space above and left of the crop: corners, centre, edges, in-betweens.
_CORNERS = ((0, 0), (0, 4), (4, 0), (4, 4))
_EDGES = ((0, 2), (2, 0), (2, 4), (4, 2))
_BETWEEN = ((1, 1), (1, 3), (3, 1), (3, 3))
_PLACES = (*_CORNERS, *_EDGES, *_BETWEEN, (2, 2))


def _random_box(
    shape: tuple[int, ...], scales: tuple[float, ...], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a random crop of a frame of ``shape`` (H, W)."""
    sides = [max(1, int(min(shape) * scale)) for scale in scales]
    pairs = [
        (height, width)
        for i, height in enumerate(sides)
        for j, width in enumerate(sides)
        if abs(i - j) <= 1
    ]
    height, width = pairs[rng.integers(len(pairs))]
    down, right = _PLACES[rng.integers(len(_PLACES))]
    return (shape[0] - height) * down // 4, (shape[1] - width) * right // 4, height, width
