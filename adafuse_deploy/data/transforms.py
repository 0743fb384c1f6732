"""From decoded frames to network input: one evaluation path, one training path, one normalisation.

Decoded frames are images uint8 (H, W, 3) in RGB, whose sizes may differ; network input is float32
(T, 3, crop, crop).
Resizing is Pillow's antialiased bilinear filter everywhere, so every verb sees the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.arrays import to_frames
from adafuse_deploy.data.flips import Flip, check_flip
from adafuse_deploy.data.frames import Frames

CROPS = (1, 3, 10)
"""How many crops of a frame :func:`multi_crop` can cut."""


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


def preprocess(frames: Frames, preprocessing: Preprocessing) -> np.ndarray:
    """Resize the short side, crop the centre and normalise, as evaluation and deployment do.

    Args:
        frames: T images uint8 (H, W, 3), RGB, or an array (T, H, W, 3).
        preprocessing: sizes and normalisation of the network.

    Returns:
        float32 (T, 3, crop, crop).

    Raises:
        InputError: there is no image, or one has another type or shape.
    """
    frames = to_frames(frames)
    return normalize(np.stack([_center(frame, preprocessing) for frame in frames]), preprocessing)


def multi_crop(
    frames: Frames, preprocessing: Preprocessing, crops: int, *, full_resolution: bool = False
) -> np.ndarray:
    """Resize the short side, cut several crops and normalise, as TSN and TSM test.

    One crop is :func:`preprocess`.  Three are the left, right and middle of the frame at half its
    height.  Ten are the corners and the middle, each also mirrored.  The places are quarters of the
    free space, rounded down, times 0, 2 or 4.

    Args:
        frames: T images uint8 (H, W, 3), RGB, or an array (T, H, W, 3).
        preprocessing: sizes and normalisation of the network.
        crops: 1, 3 or 10.
        full_resolution: crops are as high as the resized frame instead of ``crop``.

    Returns:
        float32 (crops, T, 3, side, side).

    Raises:
        InputError: another number of crops, no image, or one of another type or shape.
    """
    if crops not in CROPS:
        raise InputError(f"A frame is cut into {', '.join(map(str, CROPS))} crops, not {crops}.")
    side = preprocessing.resize if full_resolution else preprocessing.crop
    if crops == 1:
        whole = replace(preprocessing, crop=side)
        return preprocess(frames, whole)[None]
    cut = np.stack([_cut(frame, preprocessing.resize, side, crops) for frame in to_frames(frames)])
    return np.stack([normalize(cut[:, crop], preprocessing) for crop in range(crops)])


def augment(
    frames: Frames,
    label: int,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Crop at a random scale and place, mirror at random, and normalise, as training does.

    As in TSN the crop's width and height are neighbouring ``scales`` of the short side and its
    place is one of thirteen fixed ones; all frames of the clip share both.

    Args:
        frames: T images uint8 (H, W, 3), RGB, or an array (T, H, W, 3).
        label: the clip's class.
        preprocessing: crop size and normalisation of the network.
        augmentation: what to vary.
        rng: source of all randomness.

    Returns:
        float32 (T, 3, crop, crop) and the label, which mirroring may have changed.
    """
    crop = preprocessing.crop
    box = _random_box(augmentation.scales, rng)
    clip = np.stack([resize(box.cut(frame), crop, crop) for frame in frames])
    if augmentation.flip != "none" and rng.random() < 0.5:
        clip = clip[:, :, ::-1]
        if not isinstance(augmentation.flip, str):
            label = augmentation.flip.get(label, label)
    return normalize(clip, preprocessing), label


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image: uint8 (H, W, 3) to uint8 (height, width, 3).

    First its width, then its height: Pillow rounds in between, and which it begins with when it
    does both depends on its version and the image.
    """
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(np.ascontiguousarray(image))
    for size in ((width, resized.height), (width, height)):
        resized = resized.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized)


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


@dataclass(frozen=True)
class _Box:
    """A crop of frames of any size.

    Attributes:
        scale: height and width as fractions of the frame's short side.
        place: quarters of the free space above and left of it.
    """

    scale: tuple[float, float]
    place: tuple[int, int]

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """Return the part of a frame (H, W, 3)."""
        short = min(frame.shape[:2])
        height, width = (max(1, int(short * scale)) for scale in self.scale)
        top = (frame.shape[0] - height) * self.place[0] // 4
        left = (frame.shape[1] - width) * self.place[1] // 4
        return frame[top : top + height, left : left + width]


def _random_box(scales: tuple[float, ...], rng: np.random.Generator) -> _Box:
    pairs = [
        (height, width)
        for i, height in enumerate(scales)
        for j, width in enumerate(scales)
        if abs(i - j) <= 1
    ]
    return _Box(pairs[rng.integers(len(pairs))], _PLACES[rng.integers(len(_PLACES))])


def _center(frame: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resize a frame's short side and crop the centre: uint8 (crop, crop, 3)."""
    crop = preprocessing.crop
    frame = _scale(frame, preprocessing.resize)
    top, left = (round((side - crop) / 2) for side in frame.shape[:2])
    return frame[top : top + crop, left : left + crop]


def _scale(frame: np.ndarray, short: int) -> np.ndarray:
    """Resize a frame so that its short side is ``short``."""
    height, width = frame.shape[:2]
    return resize(frame, max(short, short * height // width), max(short, short * width // height))


def _cut(frame: np.ndarray, short: int, side: int, crops: int) -> np.ndarray:
    """Resize a frame's short side and cut 3 or 10 crops: uint8 (crops, side, side, 3)."""
    frame = _scale(frame, short)
    down, right = ((length - side) // 4 for length in frame.shape[:2])
    places = ((2, 0), (2, 4), (2, 2)) if crops == 3 else (*_CORNERS, (2, 2))
    cut = [frame[y * down :, x * right :][:side, :side] for y, x in places]
    mirrored = [crop[:, ::-1] for crop in cut] if crops == 10 else []
    return np.stack([*cut, *mirrored])
