from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.dataset import ClipDataset
from adafuse_deploy.data.lists import read_list
from adafuse_deploy.data.transforms import Augmentation

PREPROCESSING = Preprocessing(resize=24, crop=16)


@pytest.fixture
def records(tmp_path):
    rng = np.random.default_rng(0)
    for video in range(6):
        folder = tmp_path / f"video {video}"
        folder.mkdir()
        for index in range(1, 13):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:05d}.jpg")
    lines = [f"video {video} 12 {video % 3}" for video in range(5)] + ["video 5 3 2"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    return read_list(tmp_path / "list.txt", num_classes=3)


def everything(dataset: ClipDataset, epoch: int = 0, **options) -> torch.Tensor:
    dataset.set_epoch(epoch)
    return torch.cat([clips for clips, _ in DataLoader(dataset, batch_size=4, **options)])


def test_items_and_batches(records):
    dataset = ClipDataset(records, 4, PREPROCESSING)
    clip, label = dataset[1]
    assert clip.dtype == torch.float32 and clip.shape == (4, 3, 16, 16) and label == 1
    clips, labels = next(iter(DataLoader(dataset, batch_size=6)))
    assert clips.shape == (6, 4, 3, 16, 16) and labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert labels.dtype == torch.int64


def test_short_videos_repeat_their_last_frame(records):
    clip, _ = ClipDataset(records, 4, PREPROCESSING)[5]
    assert torch.equal(clip[2], clip[3]) and not torch.equal(clip[1], clip[2])


def test_evaluation_does_not_depend_on_seed_or_epoch(records):
    first = everything(ClipDataset(records, 4, PREPROCESSING, seed=0), epoch=0)
    assert torch.equal(first, everything(ClipDataset(records, 4, PREPROCESSING, seed=1), epoch=3))


def test_training_depends_on_seed_epoch_and_index_alone(records):
    def train(seed: int) -> ClipDataset:
        return ClipDataset(records, 4, PREPROCESSING, augmentation=Augmentation(), seed=seed)

    first = everything(train(0), epoch=1)
    assert torch.equal(first, everything(train(0), epoch=1, num_workers=2))
    assert not torch.equal(first, everything(train(0), epoch=2))
    assert not torch.equal(first, everything(train(1), epoch=1))


def test_workers_that_persist_see_every_epoch(records):
    dataset = ClipDataset(records, 4, PREPROCESSING, augmentation=Augmentation())
    loader = DataLoader(dataset, batch_size=6, num_workers=1, persistent_workers=True)
    for epoch in range(3):
        expected = everything(dataset, epoch)
        (clips, _), *_ = loader
        assert torch.equal(clips, expected)


def test_distributed_ranks_share_the_clips(records):
    dataset = ClipDataset(records, 4, PREPROCESSING)
    whole = everything(dataset)
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, shuffle=False)
        assert torch.equal(everything(dataset, sampler=sampler), whole[rank::2])


def test_flips_swap_labels(records):
    augmentation = Augmentation(flip={0: 1, 1: 0})
    dataset = ClipDataset(records, 4, PREPROCESSING, augmentation=augmentation)
    seen = set()
    for epoch in range(20):
        dataset.set_epoch(epoch)
        seen |= {(index, dataset[index][1]) for index in (0, 1, 2)}
    assert seen == {(0, 0), (0, 1), (1, 1), (1, 0), (2, 2)}


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_frame_names_itself_and_its_line(records, num_workers):
    (records[3].path / "00011.jpg").write_bytes(b"broken")
    dataset = ClipDataset(records, 4, PREPROCESSING)
    with pytest.raises(InputError) as caught:
        everything(dataset, num_workers=num_workers)
    assert f"{records[3].origin}: The image {records[3].path / '00011.jpg'} is damaged" in str(
        caught.value
    )
    assert records[3].origin.endswith("list.txt line 4")
