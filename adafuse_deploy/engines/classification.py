"""Answers for people: from video files and decoded frames to labels with probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import AdaFuseError, InputError
from adafuse_deploy.core.prediction import Prediction
from adafuse_deploy.data.arrays import is_array, to_frames
from adafuse_deploy.data.clips import open_clip, sampled_clip
from adafuse_deploy.data.frames import FrameArray

Video = str | os.PathLike[str] | np.ndarray | Sequence[Any]
"""A video file, a folder of frames, or decoded frames: images uint8 (H, W, 3), RGB, at least T."""


@dataclass(frozen=True)
class Label:
    """One class of an answer.

    Attributes:
        name: of the class, or "class <index>" where the network knows no names.
        index: of the class, from 0.
        probability: softmax over all classes, 0...1.
    """

    name: str
    index: int
    probability: float

    def __str__(self) -> str:
        return f"{self.name} {self.probability:.1%}"


@dataclass(frozen=True, repr=False)
class Classification(Sequence[Label]):
    """What one video shows: a sequence of labels, the most probable first.

    Attributes:
        labels: as many as were asked for.
        prediction: everything that the engine returned for this video, B = 1.
    """

    labels: tuple[Label, ...]
    prediction: Prediction = field(compare=False)

    @property
    def best(self) -> Label:
        """The most probable label."""
        return self.labels[0]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        return self.labels[index]

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __repr__(self) -> str:
        return f"<Classification: {', '.join(map(str, self.labels))}>"


def classifications(
    prediction: Prediction, config: ModelConfig, top: int = 5
) -> list[Classification]:
    """Put a prediction of B clips into words.

    Args:
        prediction: of a network of ``config``.
        config: which knows the classes' names.
        top: how many labels; all of them where there are fewer.

    Raises:
        InputError: ``top`` is below 1.
    """
    names, order, probabilities = config.labels, prediction.top(top), prediction.probabilities
    return [
        Classification(
            tuple(Label(names[k], int(k), float(probabilities[b, k])) for k in order[b]),
            prediction[b],
        )
        for b in range(len(order))
    ]


def classify(
    run: Callable[[np.ndarray], Prediction],
    config: ModelConfig,
    videos: Video | Sequence[Video],
    *,
    top: int,
    template: str | None,
    repeat_last: bool,
    strict: bool,
) -> Classification | list[Classification]:
    """Do what :meth:`adafuse_deploy.Engine.classify` says.

    Args:
        run: an engine's.
        config: of its network.
        videos, top, template, repeat_last, strict: as given.
    """
    several = _several(videos)

    def answer(video: Video) -> Classification:
        clip = _clip(video, config, template, repeat_last, strict)
        (result,) = classifications(run(clip[None]), config, top)
        return result

    if several is None:
        return answer(videos)  # type: ignore[arg-type]
    if not len(several):
        raise InputError("There is no video to classify: the list is empty.")
    answers = []
    for number, video in enumerate(several):
        try:
            answers.append(answer(video))
        except AdaFuseError as error:
            raise type(error)(f"Video {number} of {len(several)}: {error}") from error
    return answers


def _several(videos: Video | Sequence[Video]) -> Sequence[Video] | None:
    """Return the videos if there are several, or None for a single one.

    Frames (H, W, 3) in a list are one video, as are four dimensions of an array.
    """
    if isinstance(videos, (str, os.PathLike)):
        return None
    if is_array(videos):
        array = np.asarray(videos)
        return list(array) if array.ndim == 5 else None
    try:
        items = list(videos)
    except TypeError:
        raise InputError(
            "Give a path, decoded frames (F, H, W, 3), or a list of those, not "
            f"{type(videos).__name__}."
        ) from None
    single = items and all(is_array(item) and np.ndim(item) == 3 for item in items)
    return None if single else items


def _clip(
    video: Video, config: ModelConfig, template: str | None, repeat_last: bool, strict: bool
) -> np.ndarray:
    """Return the evaluation clip of one video, float32 (T, 3, crop, crop)."""
    segments, preparation = config.num_segments, config.preprocessing
    if not isinstance(video, (str, os.PathLike)):
        source = FrameArray(to_frames(video))
        return sampled_clip(source, "The video", segments, preparation, repeat_last=repeat_last)
    return open_clip(
        video, segments, preparation, template=template, repeat_last=repeat_last, strict=strict
    )
