"""Progress: lines where there is no terminal, a bar on one, nothing when it is not wanted."""

from __future__ import annotations

import io
import sys

import pytest

import adafuse_deploy.core.progress as module
from adafuse_deploy.core.progress import progress


class _Clock:
    """A second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.std.time", _Clock())


@pytest.mark.usefixtures("clock")
def test_a_line_every_ten_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(25), "comparing", unit="clips")) == list(range(25))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # after about 10 and 20 seconds, and the end
    assert lines[0].startswith("comparing: 1") and " of 25 clips, 00:1" in lines[0]
    assert lines[-1].startswith("comparing: 25 of 25 clips")
    assert not any(character in "".join(lines) for character in "\r\033")


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(progress(range(100), "adding")) == 4950
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("clock")
def test_nothing_if_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(progress(range(100), "adding", show=False)) == 4950
    with progress(label="by hand", total=3, show=False) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("clock")
def test_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(label="building", total=40) as bar:
        for _ in range(40):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 2 and lines[-1].startswith("building: 40 of 40 steps")


@pytest.mark.usefixtures("clock")
def test_work_of_unknown_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert sum(progress((n for n in range(15)), "drawing", unit="frames")) == 105
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("drawing: 15 frames, 00:") and "left" not in last and "?" not in last


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("tqdm.std.time", _Clock())
    assert sum(progress(range(9), "adding")) == 36
    text = terminal.getvalue()
    assert "\radding" in text and text.endswith("\r")  # wiped away in the end
    assert module.LINE_SECONDS == 10


def test_closed_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert sum(progress(range(9), "adding")) == 36
