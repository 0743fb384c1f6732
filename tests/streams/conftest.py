"""A network that can stream, and its graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.recognizer import VideoRecognizer


@pytest.fixture(scope="session")
def online_model(make_model: Callable[..., VideoRecognizer]) -> VideoRecognizer:
    """AdaFuse ResNet-18 with online shift, an eighth of the width, 64 x 64 pixels, 3 classes."""
    return make_model(
        "adafuse_tsm_online_resnet18",
        size=64,
        width=0.125,
        num_segments=4,
        num_classes=3,
        gate_hidden=16,
        class_names=("left", "right", "still"),
    )


@pytest.fixture(scope="session")
def stream_graph(online_model: VideoRecognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That network exported for streams."""
    path = tmp_path_factory.mktemp("stream_graph") / "tiny.stream.onnx"
    export(online_model, path, mode="stream")
    return path
