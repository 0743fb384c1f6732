"""Checkpoints say what one step from frame to frame means, as graphs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED, SHIPPED_GRAPH, SHIPPED_STREAM
from adafuse_deploy.assets import SHIPPED_STREAM_GRAPH as STREAM_GRAPH
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.data.video import VideoFile
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.checkpoint import load_model
from adafuse_deploy.training.recipe import DataConfig
from adafuse_deploy.training.splits import Synthetic
from tests.support import run_cli


def test_shipped_files_record_that_of_the_procedural_videos() -> None:
    drawn = Synthetic(show_progress=False).frame_spacing(8, DataConfig())
    assert drawn == FrameSpacing.constant(0.375)  # 24 frames, 8 a second, of which 8 are taken
    for file in (SHIPPED_GRAPH, STREAM_GRAPH):
        with load_engine(file, operator_library=False) as engine:
            assert engine.metadata.config.frame_spacing == drawn
    for file in (SHIPPED, SHIPPED_STREAM):
        assert load_model(file).config.frame_spacing == drawn
    assert VideoFile(SAMPLE_VIDEO).seconds == 8 * drawn.median


def test_one_can_say_it_of_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.pt"
    assert run_cli("convert", SHIPPED_STREAM, "--frame-spacing", 0.5, "-o", made) == 0
    assert load_model(made).config.frame_spacing == FrameSpacing.constant(0.5)
    assert run_cli("inspect", made) == 0
    assert "frame spacing: 0.5 s in training" in " ".join(capsys.readouterr().out.split())
