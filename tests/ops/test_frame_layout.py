"""What the operator library tells of its layout of frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adafuse_deploy.core.errors import MissingDependencyError
from adafuse_deploy.ops.frame_layout import (
    frame_units,
    history_units,
    layout_version,
    weight_panel,
)
from adafuse_deploy.ops.library import ENVIRONMENT_VARIABLE, operator_library_path


@pytest.mark.parametrize(
    ("channels", "precision", "units"),
    [
        (1, "fp32", 16),  # a cache line
        (48, "fp32", 48),
        (64, "fp32", 80),  # four lines would share cache sets: five
        (128, "bf16", 80),
        (33, "bf16", 32),
        (100, "int8", 32),
        (2048, "fp32", 2064),
    ],
)
def test_pixels_take_whole_lines_and_no_multiple_of_four(
    channels: int, precision: str, units: int
) -> None:
    assert frame_units(channels, precision) == units


@pytest.mark.parametrize(
    ("channels", "precision", "units"), [(64, "fp32", 80), (48, "fp32", 80), (64, "bf16", 48)]
)
def test_history_has_room_for_reused_channels_on_a_line_of_their_own(
    channels: int, precision: str, units: int
) -> None:
    assert history_units(channels, precision) == units


def test_files_of_the_first_release_have_the_layout_of_today() -> None:
    assert layout_version() == 1
    assert weight_panel() == 32


@pytest.mark.parametrize(("channels", "precision"), [(0, "fp32"), (-1, "fp32"), (4, "fp16")])
def test_frames_that_cannot_be_are_refused(channels: int, precision: str) -> None:
    with pytest.raises(ValueError, match="there are no frames of"):
        frame_units(channels, precision)


def test_a_library_that_does_not_tell_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copy(operator_library_path(), tmp_path / "other.so")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(other))
    assert frame_units(1, "fp32") == 16
    no_library = tmp_path / "none.so"
    no_library.write_bytes(b"no library")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(no_library))
    with pytest.raises(MissingDependencyError, match="does not tell the layout"):
        frame_units(1, "fp32")
