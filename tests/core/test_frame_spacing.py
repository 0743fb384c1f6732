"""What one step from frame to frame means is recorded, and old records do not know it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.data.lists import read_list
from adafuse_deploy.data.spacing import measure_spacing
from adafuse_deploy.data.video import write_video


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
