"""The parts of a video that are recognised, whose mean is the answer: the protocols of TSN and TSM.

Sources: TSN (arXiv 1608.00859), TSM (arXiv 1811.08383) and the tests of TSM's public code, which
average logits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.frames import FrameSource
from adafuse_deploy.data.sampling import dense_clips, uniform_clips
from adafuse_deploy.data.transforms import CROPS, multi_crop


@dataclass(frozen=True)
class Views:
    """How a video is cut into clips and its frames into crops.

    Attributes:
        clips: clips per video, see :mod:`adafuse_deploy.data.sampling`.
        crops: crops per frame: 1, 3 or 10, see :func:`adafuse_deploy.data.transforms.multi_crop`.
        dense_sampling: clips of neighbouring frames (I3D) instead of frames spread over the video.
        full_resolution: crops as high as the resized frame (256 instead of 224 pixels).
    """

    clips: int = 1
    crops: int = 1
    dense_sampling: bool = False
    full_resolution: bool = False

    def __post_init__(self) -> None:
        if self.clips < 1 or self.crops not in CROPS:
            raise InputError(
                f"A video is looked at in 1 or more clips of {', '.join(map(str, CROPS))} crops, "
                f"not in {self.clips} of {self.crops}."
            )

    @property
    def count(self) -> int:
        """Views per video."""
        return self.clips * self.crops

    def cut(self, source: FrameSource, config: ModelConfig) -> np.ndarray:
        """Return a video's views, float32 (``count``, T, 3, side, side).

        Raises:
            InputError: a frame cannot be read.
        """
        sample = dense_clips if self.dense_sampling else uniform_clips
        segments = config.num_segments
        frames = source.sample(lambda length: sample(length, segments, self.clips).ravel())
        views = multi_crop(
            frames, config.preprocessing, self.crops, full_resolution=self.full_resolution
        )
        by_clip = views.reshape(self.crops, self.clips, segments, *views.shape[2:])
        return np.ascontiguousarray(by_clip.swapaxes(0, 1)).reshape(-1, *by_clip.shape[2:])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)
