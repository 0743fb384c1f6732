"""What one step from frame to frame means is recorded, and old records do not know it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.assets import SAMPLE_VIDEO, SHIPPED, SHIPPED_GRAPH, SHIPPED_STREAM
from adafuse_deploy.assets import SHIPPED_STREAM_GRAPH as STREAM_GRAPH
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.data.lists import read_list
from adafuse_deploy.data.spacing import measure_spacing
from adafuse_deploy.data.video import VideoFile, write_video
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.checkpoint import load_model
from adafuse_deploy.training.recipe import DataConfig
from adafuse_deploy.training.splits import Synthetic
from tests.support import run_cli


def test_a_configuration_keeps_it_and_old_ones_have_none() -> None:
    config = ModelConfig(num_segments=4, frame_spacing=FrameSpacing(0.5, 0.25, 1.5))
    values = config.to_dict()
    assert values["frame_spacing"] == {"median": 0.5, "p10": 0.25, "p90": 1.5}
    assert ModelConfig.from_dict(values) == config and config.clip_seconds == 2
    del values["frame_spacing"]
    old = ModelConfig.from_dict(values)
    assert old.frame_spacing is None and old.clip_seconds is None
    assert old.to_dict() == values  # which older versions read


@pytest.mark.parametrize(
    "values", [{"median": 0.5}, {"median": 1, "p10": 2, "p90": 3}, 0.5, {"median": 1, "p10": "x"}]
)
def test_impossible_spacings(values: object) -> None:
    with pytest.raises(InputError, match="frame spacing has"):
        ModelConfig(frame_spacing=values)  # type: ignore[arg-type]


def test_shipped_files_record_that_of_the_procedural_videos() -> None:
    drawn = Synthetic(show_progress=False).frame_spacing(8, DataConfig())
    assert drawn == FrameSpacing.constant(0.375)  # 24 frames, 8 a second, of which 8 are taken
    for file in (SHIPPED_GRAPH, STREAM_GRAPH):
        with load_engine(file, operator_library=False) as engine:
            assert engine.metadata.config.frame_spacing == drawn
    for file in (SHIPPED, SHIPPED_STREAM):
        assert load_model(file).config.frame_spacing == drawn
    assert VideoFile(SAMPLE_VIDEO).seconds == 8 * drawn.median


def test_lists_are_measured(tmp_path: Path) -> None:
    """Files tell their lengths, folders only with a rate; what is broken tells nothing."""
    for name, rate, count in (("a", 8, 16), ("b", 4, 16), ("c", 2, 16)):
        write_video(tmp_path / f"{name}.mp4", np.zeros((count, 32, 32, 3), np.uint8), fps=rate)
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(1, 11):
        Image.new("RGB", (8, 8)).save(folder / f"{number:05d}.jpg")
    listing = tmp_path / "list.txt"
    listing.write_text("a.mp4 0\nb.mp4 0\nc.mp4 1\nbroken.mp4 1\n")
    records = read_list(listing, num_classes=2, class_names=())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    spacing = measure_spacing(records, 4)  # of 2, 4 and 8 seconds
    assert spacing is not None and spacing.median == 1
    assert (spacing.p10, spacing.p90) == pytest.approx((0.6, 1.8))
    listing.write_text("folder 10 0\n")
    images = read_list(listing, num_classes=2, class_names=())
    assert measure_spacing(images, 4) is None
    assert measure_spacing(images, 4, rate=5) == FrameSpacing.constant(0.5)


def test_one_can_say_it_of_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.pt"
    assert run_cli("convert", SHIPPED_STREAM, "--frame-spacing", 0.5, "-o", made) == 0
    assert load_model(made).config.frame_spacing == FrameSpacing.constant(0.5)
    assert run_cli("inspect", made) == 0
    assert "frame spacing: 0.5 s in training" in capsys.readouterr().out
