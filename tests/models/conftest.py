"""Networks of their backbones' own depth: what reads foreign weights tells backbones by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adafuse_deploy.models.recognizer import VideoRecognizer


@pytest.fixture(scope="session")
def make_model(make_model: Callable[..., VideoRecognizer]) -> Callable[..., VideoRecognizer]:
    """Build a registered network with lively random weights."""

    def make(name: str, seed: int = 0, **overrides: Any) -> VideoRecognizer:
        return make_model(name, seed, **{"depths": (), **overrides})

    return make
