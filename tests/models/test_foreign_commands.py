"""Every verb that takes a checkpoint takes one of mmaction2, without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.checkpoint import load_model
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.models.test_foreign import as_mmaction2
from tests.support import run_cli

DESCRIBED = ("--num-segments", 4, "--size", 32)


@pytest.fixture
def dense(make_model: Callable[..., VideoRecognizer]) -> VideoRecognizer:
    return make_model("tsm_resnet18", size=32, width=0.125, num_segments=4, num_classes=5)


@pytest.fixture
def foreign(dense: VideoRecognizer, tmp_path: Path) -> Path:
    path = tmp_path / "tsm.pth"
    torch.save({"meta": {"epoch": 3}, "state_dict": as_mmaction2(dense)}, path)
    return path


def test_export_and_verify(dense: VideoRecognizer, foreign: Path, tmp_path: Path) -> None:
    graph = tmp_path / "tsm.onnx"
    assert run_cli("export", foreign, *DESCRIBED, "-o", graph) == 0
    clip = np.random.default_rng(0).standard_normal((2, 4, 3, 32, 32), np.float32)
    expected = dense.predict(clip).logits
    with load_engine(graph) as engine:
        np.testing.assert_allclose(engine.run(clip).logits, expected, rtol=1e-4, atol=1e-4)
        assert engine.metadata.config.shift_place == "conv1"
    checked = ("verify", graph, "--checkpoint", foreign, *DESCRIBED, "--random", 2)
    for backend in ("onnxruntime", "openvino"):
        assert run_cli(*checked, "--backend", backend) == 0


def test_convert_and_inspect(
    dense: VideoRecognizer,
    foreign: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_cli("convert", foreign, *DESCRIBED, "-o", tmp_path / "ours.pt") == 0
    assert load_model(tmp_path / "ours.pt").config == dense.config
    capsys.readouterr()
    assert run_cli("inspect", foreign) == 0
    shown = capsys.readouterr().out
    assert "a dense TSM of mmaction2 with ResNet-18, 5 classes" in shown
    assert "temporal shift (TSM) before conv1 alone" in shown
    assert " written by: -" in " ".join(shown.split())


def test_evaluate_and_begin_training(foreign: Path, listing: Path, tmp_path: Path) -> None:
    assert run_cli("evaluate", foreign, *DESCRIBED, "--data", listing, "--device", "cpu") == 0
    arguments = ("--data", listing, "--val", listing, "--model", "tsm_resnet18", *DESCRIBED)
    small = ("--width", 0.125, "--epochs", 1, "--batch-size", 3, "--device", "cpu")
    out = tmp_path / "trained.pt"
    assert run_cli("train", *arguments, *small, "--init", foreign, "-o", out) == 0
    assert load_model(out).config.shift_place == "conv1"


def test_a_refusal_is_one_sentence(
    foreign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tsm.onnx"
    assert run_cli("export", foreign, "--size", 32, "--mode", "stream", "-o", out) == 1
    message = capsys.readouterr().err
    assert message.count("Error: ") == 1 and "Traceback" not in message
    assert not out.exists()
