"""Windows of a long video: which frames each of them shows, in one pass over the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.clips import open_source
from adafuse_deploy.data.feed import UNTIMED_RATE, Frame
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.data.video import VideoFile

MOST_WINDOWS = 1_000_000
"""Of a video; a hundred days of one every ten seconds."""


@dataclass(frozen=True)
class Window:
    """A span of a video.

    Attributes:
        start, end: seconds from the first frame.
    """

    start: float
    end: float


def video_seconds(
    path: str | os.PathLike[str], template: str | None = None, rate: float | None = None
) -> float:
    """Return how long a video is; what tells no time has ``rate`` frames a second, 25 by default.

    Raises:
        InputError: it is missing or no video.
    """
    source = open_source(path, template)
    told = source.seconds if isinstance(source, VideoFile) else None
    return told or source.num_frames / (rate or UNTIMED_RATE)


def cut_windows(length: float, window: float, stride: float) -> list[Window]:
    """Return windows that cover a video: one every ``stride`` seconds, the last one at its end.

    Args:
        length, window, stride: seconds; a video that is shorter than a window is one.

    Raises:
        InputError: the stride is longer than the window, which would leave gaps, or so short that
            there are more than :data:`MOST_WINDOWS`.
    """
    if not 0 < stride <= window:
        raise InputError(f"A stride of {stride:g} s leaves gaps between windows of {window:g} s.")
    if length <= window:
        return [Window(0.0, length)]
    # A thousandth of a second is less than any frame lasts.
    many = (length - window + 1e-3) / stride
    if not many < MOST_WINDOWS:
        raise InputError(
            f"{length:g} s with a window every {stride:g} s are {many:.3g} windows, more than "
            f"{MOST_WINDOWS}; choose a longer --stride."
        )
    count = int(many) + 1
    windows = [Window(stride * number, stride * number + window) for number in range(count)]
    if windows[-1].end < length - 1e-3:
        windows.append(Window(length - window, length))
    return windows


def window_clips(
    frames: Iterable[Frame], windows: list[Window], num_segments: int, preprocessing: Preprocessing
) -> Iterator[np.ndarray]:
    """Yield the clip of every window, float32 (T, 3, crop, crop).

    A clip has the frames that are shown in the middles of T equal parts of its window, by their
    time stamps.  Only these are converted, each once; as many are kept as overlapping windows have.

    Args:
        frames: all of the video, in order.
        windows: as of :func:`cut_windows`.
        num_segments: frames per clip T.
        preprocessing: sizes and normalisation of the network.

    Raises:
        InputError: the video has no frame, or a frame cannot be used.
    """
    spans = np.array([(window.start, window.end - window.start) for window in windows])
    parts = (np.arange(num_segments) + 0.5) / num_segments
    all_moments = (spans[:, :1] + spans[:, 1:] * parts).ravel()
    order = np.argsort(all_moments, kind="stable")
    moments, owners = all_moments[order], order // num_segments
    clips: dict[int, list[np.ndarray]] = {}
    place = following = 0
    for frame, until in _with_ends(frames):
        image: np.ndarray | None = None
        while place < len(moments) and moments[place] < until:
            if image is None:
                image = preprocess(frame.image[None], preprocessing)[0]
            clips.setdefault(int(owners[place]), []).append(image)
            place += 1
        while len(clips.get(following, ())) == num_segments:
            yield np.stack(clips.pop(following))
            following += 1
        if following == len(windows):
            return
    raise InputError("There is no frame in the video; record or download it again.")


def _with_ends(frames: Iterable[Frame]) -> Iterator[tuple[Frame, float]]:
    """Yield every frame with the second at which the next one is shown, from 0."""
    shown: Frame | None = None
    first = 0.0
    for frame in frames:
        if shown is None:
            first = frame.seconds
        else:
            yield shown, frame.seconds - first
        shown = frame
    if shown is not None:
        yield shown, float("inf")
