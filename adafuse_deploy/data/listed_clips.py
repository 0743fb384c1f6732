"""The clips that engines are compared on."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError

if TYPE_CHECKING:
    from adafuse_deploy.data.lists import Labels, ListReading

LabelledClip = tuple[np.ndarray, int | None]
"""Float32 (T, 3, H, W) and its class, or None when that is unknown."""


class ListedClips(Sequence[LabelledClip]):
    """Clips of a list file, prepared as in deployment, each read when it is asked for.

    Args:
        config: the network they are for.
        path: the list file.
        reading: how to read it.
        labels: whether it must say the classes, may, or is not asked.
        count: how many to take, evenly spaced because lists are often sorted by class; None for
            all.

    Raises:
        InputError: the list or, when it is asked for, a video cannot be used.
    """

    def __init__(
        self,
        config: ModelConfig,
        path: str | os.PathLike[str],
        *,
        reading: ListReading | None = None,
        labels: Labels = "optional",
        count: int | None = None,
    ) -> None:
        from adafuse_deploy.data.lists import read_list

        records = read_list(
            path,
            reading,
            num_classes=config.num_classes,
            class_names=config.class_names,
            labels=labels,
            count=count,
        )
        self._records = records
        self._config = config

    def __len__(self) -> int:
        return len(self._records)

    def some(self, indices: Sequence[int]) -> ListedClips:
        """Return the clips of these numbers."""
        part = copy.copy(self)
        part._records = replace(
            self._records, records=tuple(self._records[index] for index in indices)
        )
        return part

    @property
    def videos(self) -> list[str]:
        """The files and folders of the clips."""
        return [str(record.path) for record in self._records]

    @property
    def first_video(self) -> str | None:
        """The file or folder of the first clip; None if it is shorter than a clip."""
        record = self._records[0]
        return str(record.path) if record.open().num_frames >= self._config.num_segments else None

    def __getitem__(self, index: int) -> LabelledClip:  # type: ignore[override]
        from adafuse_deploy.data.clips import center_clip

        record, config = self._records[index], self._config
        try:
            clip = center_clip(record.open(), config.num_segments, config.preprocessing)
        except InputError as error:
            raise InputError(f"{record.origin}: {error}") from error
        return clip, record.label if record.label >= 0 else None


def random_clips(count: int, shape: tuple[int, ...], seed: int = 0) -> list[LabelledClip]:
    """Return ``count`` clips of ``shape`` (T, 3, H, W) of standard normal noise, without labels."""
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(shape, np.float32), None) for _ in range(count)]
