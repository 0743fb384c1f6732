"""The training and validation clips of a run, from whichever source the user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.data.catalog import DATASETS
from adafuse_deploy.data.class_files import read_class_names
from adafuse_deploy.data.dataset import ClipDataset, SyntheticClips
from adafuse_deploy.data.flips import flip_rule
from adafuse_deploy.data.lists import ListReading, read_list
from adafuse_deploy.data.record import Record
from adafuse_deploy.data.spacing import measure_spacing
from adafuse_deploy.data.synthetic import CLASS_NAMES, RATE
from adafuse_deploy.data.transforms import Augmentation
from adafuse_deploy.training.recipe import DataConfig

Path = str | os.PathLike[str]


class Source(Protocol):
    """Where clips come from."""

    @property
    def num_classes(self) -> int:
        """Number of actions."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Their names, or empty when unknown."""
        ...

    def frame_spacing(self, num_segments: int, data: DataConfig) -> FrameSpacing | None:
        """Return how far apart the frames of training clips are; None when unknown."""
        ...

    def splits(
        self, model: ModelConfig, data: DataConfig, seed: int
    ) -> tuple[ClipDataset, ClipDataset]:
        """Return the training set, augmented with ``seed``, and the validation set."""
        ...


@dataclass(frozen=True)
class Listed:
    """Videos named by lists.

    Attributes:
        train, val: the lists' records.
        num_classes, class_names: as in :class:`Source`.
        rate: frames a second of folders of images, unless the recipe tells; None where unknown.
    """

    train: Sequence[Record]
    val: Sequence[Record]
    num_classes: int
    class_names: tuple[str, ...] = ()
    rate: float | None = None

    def frame_spacing(self, num_segments: int, data: DataConfig) -> FrameSpacing | None:
        """Return how far apart the frames of training clips are; None when unknown."""
        return measure_spacing(self.train, num_segments, data.source_rate or self.rate)

    def splits(
        self, model: ModelConfig, data: DataConfig, seed: int
    ) -> tuple[ClipDataset, ClipDataset]:
        """Return the training set, augmented with ``seed``, and the validation set."""
        segments, preprocessing = model.num_segments, model.preprocessing
        augmentation = _augmentation(data, self.class_names)
        return (
            ClipDataset(self.train, segments, preprocessing, augmentation=augmentation, seed=seed),
            ClipDataset(self.val, segments, preprocessing),
        )


class Synthetic:
    """Procedural videos, drawn in memory.

    Args:
        show_progress: show how far drawing is on standard error.
    """

    num_classes = len(CLASS_NAMES)
    class_names: tuple[str, ...] = CLASS_NAMES

    def __init__(self, show_progress: bool = True) -> None:
        self._show_progress = show_progress

    def frame_spacing(self, num_segments: int, data: DataConfig) -> FrameSpacing:
        """Return how far apart the frames of all clips are."""
        return FrameSpacing.constant(data.drawn_frames / RATE / num_segments)

    def splits(
        self, model: ModelConfig, data: DataConfig, seed: int
    ) -> tuple[ClipDataset, ClipDataset]:
        """Return the training set and the validation set; which videos, ``data`` alone decides."""
        augmentation = _augmentation(data, self.class_names)

        def draw(count: int, seed: int, augmentation: Augmentation | None) -> SyntheticClips:
            return SyntheticClips(
                count,
                model.num_segments,
                model.preprocessing,
                augmentation=augmentation,
                seed=seed,
                size=data.drawn_size,
                num_frames=data.drawn_frames,
                show_progress=self._show_progress,
            )

        train = draw(data.train_clips, data.drawn_seed, augmentation)
        # The same videos under every seed, but not the same crops of them.
        train.seed = seed
        return train, draw(data.val_clips, data.drawn_seed + 1, None)


def own_lists(
    train: Path,
    val: Path,
    *,
    reading: ListReading | None = None,
    classes: Path | None = None,
) -> Listed:
    """Read the user's own lists.

    Args:
        train, val: list files.
        reading: how to read them.
        classes: class file; without it there are as many classes as the lists number.

    Raises:
        InputError: as :func:`adafuse_deploy.data.lists.read_list`.
    """
    names = read_class_names(classes) if classes is not None else ()
    count = len(names) or None
    reading = reading or ListReading()
    train_records = read_list(train, reading, num_classes=count, class_names=names)
    reading = reading.for_validation(train_records)
    val_records = read_list(val, reading, num_classes=count, class_names=names)
    if count is None:
        count = 1 + max(record.label for record in (*train_records, *val_records))
    return Listed(train_records, val_records, count, names)


def public_lists(
    dataset: str, lists: Path, frames: Path, reading: ListReading | None = None
) -> Listed:
    """Read the published lists of a public data set.

    Args:
        dataset: its name in the catalog.
        lists: folder of the published lists and class file.
        frames: folder that the lists' paths start from.
        reading: how to read them.

    Raises:
        InputError: files or folders are missing or do not belong to the data set.
    """
    public = DATASETS[dataset]
    names = public.class_names(lists)
    reading = reading or ListReading()
    train = public.read("train", lists, frames, reading)
    val = public.read("val", lists, frames, reading.for_validation(train))
    return Listed(train, val, public.num_classes, names, public.rate)


def _augmentation(data: DataConfig, class_names: tuple[str, ...]) -> Augmentation:
    return Augmentation(scales=data.scales, flip=flip_rule(data.flip_kind, class_names))
