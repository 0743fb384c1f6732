"""PyTorch datasets of clips, reproducible whatever the number of workers and processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.clips import center_clip
from adafuse_deploy.data.labelled import LabelledVideo, draw_videos
from adafuse_deploy.data.sampling import random_indices
from adafuse_deploy.data.transforms import Augmentation, augment


class ClipDataset(Dataset[tuple[torch.Tensor, int]]):
    """Clips of labelled videos: item ``i`` is float32 (T, 3, crop, crop) and the label.

    Without ``augmentation`` a clip is the centre frames and the centre crop, as in deployment; with
    it, random frames, crops and flips that depend only on ``seed``, the epoch and the index.
    Videos with fewer than T frames repeat their last one.

    Args:
        videos: such as :func:`adafuse_deploy.data.lists.read_list` returns.
        num_segments: frames per clip T.
        preprocessing: sizes and normalisation of the network.
        augmentation: what training varies; None for evaluation.
        seed: of the augmentation.
    """

    def __init__(
        self,
        videos: Sequence[LabelledVideo],
        num_segments: int,
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.videos = videos
        self.num_segments = num_segments
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed
        # Shared memory: workers that live through several epochs see the new number too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Make the next epoch's augmentation differ; call before iterating over the loader."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Read one clip.

        Raises:
            InputError: a frame cannot be read; the message names it and its line in the list.
        """
        video = self.videos[index]
        try:
            clip, label = self._read(video, index)
        except InputError as error:
            raise InputError(f"{video.origin}: {error}") from error
        return torch.from_numpy(clip), label

    def _read(self, video: LabelledVideo, index: int) -> tuple[np.ndarray, int]:
        source = video.open()
        if self.augmentation is None:
            return center_clip(source, self.num_segments, self.preprocessing), video.label
        rng = np.random.default_rng((self.seed, int(self._epoch), index))
        frames = source.sample(lambda count: random_indices(count, self.num_segments, rng))
        return augment(frames, video.label, self.preprocessing, self.augmentation, rng)


class SyntheticClips(ClipDataset):
    """Procedural clips (:mod:`adafuse_deploy.data.synthetic`), drawn once and kept in memory.

    Args:
        count: number of clips; a multiple of 12 has every class equally often.
        num_segments: frames per clip T.
        preprocessing: sizes and normalisation of the network.
        augmentation: what training varies; None for evaluation.
        seed: of the clips and their augmentation; train and test sets need different ones.
        size: side of the drawn frames, in pixels.
        num_frames: length of the drawn videos, best an odd multiple of T;
            ``count * num_frames * size**2 * 3`` bytes are kept.
        show_progress: show how far drawing is on standard error.
    """

    def __init__(
        self,
        count: int,
        num_segments: int,
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        size: int = 64,
        num_frames: int = 24,
        show_progress: bool = True,
    ) -> None:
        videos = draw_videos(
            count, seed=seed, size=size, num_frames=num_frames, show_progress=show_progress
        )
        super().__init__(
            videos,
            num_segments,
            preprocessing,
            augmentation=augmentation,
            seed=seed,
        )
