"""A network and clips so small that an epoch takes a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import create_model

CLASSES, FRAMES, SIZE = 3, 4, 32


@pytest.fixture
def make_model():
    """Return a function that builds a tiny network, the same one every time."""

    def make(name: str = "adafuse_tsm_resnet18", **overrides: Any) -> VideoRecognizer:
        torch.manual_seed(0)
        values = {
            "num_classes": CLASSES,
            "num_segments": FRAMES,
            "width": 0.125,
            "gate_hidden": 8,
            "gate_quota": 0,
            "shared_policy": False,
            "dropout": 0.1,
            "preprocessing": Preprocessing(SIZE, SIZE),
        }
        return create_model(name, **{**values, **overrides})

    return make


@pytest.fixture(scope="session")
def clips():
    """Return a function that draws (frames, label) pairs; the label is the clip's brightness."""

    def draw(count: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % CLASSES
        frames = 0.5 * torch.randn(count, FRAMES, 3, SIZE, SIZE, generator=generator)
        return TensorDataset(frames + labels[:, None, None, None, None] - 1.0, labels)

    return draw


@pytest.fixture(scope="session")
def train_set(clips):
    """24 clips."""
    return clips(24, 1)


@pytest.fixture(scope="session")
def val_set(clips):
    """9 clips."""
    return clips(9, 2)
