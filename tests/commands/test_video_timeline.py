"""``classify --window``: what happens when in a long video."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import adafuse_deploy
from adafuse_deploy.core.config import Preprocessing
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.annotate import write_annotated
from adafuse_deploy.data.feed import Frame
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.data.video import VideoFile, write_video
from adafuse_deploy.data.windows import Window, cut_windows, video_seconds, window_clips
from adafuse_deploy.engines.timeline import timeline
from adafuse_deploy.engines.window_answers import stream_windows
from tests.support import run_cli, with_spacing

RAW = Preprocessing(resize=8, crop=8, mean=(0, 0, 0), std=(1, 1, 1), scale=1)


def numbered(times: list[float]) -> list[Frame]:
    """Frames whose brightness is their number."""

    def frame(number: int, seconds: float) -> Frame:
        return Frame(lambda: np.full((8, 8, 3), number, np.uint8), seconds)

    return [frame(number, seconds) for number, seconds in enumerate(times)]


def spans(length: float, window: float, stride: float) -> list[tuple[float, float]]:
    return [(w.start, w.end) for w in cut_windows(length, window, stride)]


def test_windows_cover_the_video() -> None:
    assert spans(8, 4, 4) == [(0, 4), (4, 8)]
    assert spans(8, 4, 2) == [(0, 4), (2, 6), (4, 8)]
    assert spans(9, 4, 4) == [(0, 4), (4, 8), (5, 9)]
    assert spans(3, 4, 4) == [(0, 3)]
    with pytest.raises(InputError, match="leaves gaps"):
        cut_windows(8, 4, 5)
    for length, stride in ((10, 1e-9), (1e300, 1), (float("inf"), 1)):
        with pytest.raises(InputError, match=r"windows, more than 1000000; choose a longer"):
            cut_windows(length, max(1, stride), stride)


@pytest.mark.parametrize(
    "times",
    [
        [n / 10 for n in range(40)],
        [5 + n / 10 for n in range(40)],  # time stamps need not begin at 0
        [0.0, 0.05, 0.9, 1.1, 1.2, 2.7, 3.3, 3.9],  # nor be even
    ],
)
def test_a_clip_has_the_frames_that_are_shown_at_its_moments(times: list[float]) -> None:
    windows = cut_windows(4, 2, 1)
    clips = list(window_clips(numbered(times), windows, 4, RAW))
    assert len(clips) == len(windows) == 3
    for window, clip in zip(windows, clips, strict=True):
        moments = window.start + (window.end - window.start) * np.array([1, 3, 5, 7]) / 8
        shown = [sum(time - times[0] <= moment for time in times) - 1 for moment in moments]
        assert clip[:, 0, 0, 0].tolist() == shown


def test_only_frames_that_are_looked_at_are_converted() -> None:
    looked: list[int] = []

    def look(number: int) -> np.ndarray:
        looked.append(number)
        return np.zeros((8, 8, 3), np.uint8)

    frames = [Frame(lambda n=n: look(n), n / 10) for n in range(40)]  # type: ignore[misc]
    list(window_clips(frames, cut_windows(4, 2, 1), 2, RAW))
    assert looked == [5, 15, 25, 35]
    with pytest.raises(InputError, match="no frame"):
        list(window_clips([], [Window(0, 1)], 2, RAW))


def answer(index: int, probability: float) -> Any:
    best = SimpleNamespace(name=f"class {index}", index=index, probability=probability)
    return SimpleNamespace(best=best, prediction=SimpleNamespace(macs=np.array([10 * index])))


def test_neighbours_of_one_class_are_one_segment() -> None:
    answers = [answer(1, 0.5), answer(1, 0.8), answer(2, 0.6), answer(1, 0.9)]
    first, second, third = timeline(cut_windows(10, 4, 2), answers)
    assert [(s.start, s.end, s.index, s.windows) for s in (first, second, third)] == [
        (0, 5, 1, 2),
        (5, 7, 2, 1),
        (7, 10, 1, 1),
    ]
    assert first.probability == pytest.approx((3 * 0.5 + 2 * 0.8) / 5)
    assert second.macs == 20


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of 8 frames a second."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (48, 96, 128, 3), np.uint8))
    return path


def test_the_command(long_video: Path, tiny_graph: Path, tmp_path: Path) -> None:
    saved, table, report = (tmp_path / name for name in ("out.mp4", "rows.csv", "report.json"))
    arguments = ["classify", long_video, "--model", tiny_graph, "--no-operator-library"]
    arguments += ["--window", 2, "--stride", 1, "--save", saved, "--output", table]
    assert run_cli(*arguments, "--json", report) == 0
    found = json.loads(report.read_text())
    assert found["seconds"] == video_seconds(long_video) == 6
    segments = found["segments"]
    assert segments[0]["start"] == 0 and segments[-1]["end"] == 6
    assert [s["end"] for s in segments[:-1]] == [s["start"] for s in segments[1:]]
    assert sum(segment["windows"] for segment in segments) == 5
    rows = list(csv.DictReader(table.open()))
    assert [(row["label"], float(row["start"])) for row in rows] == [
        (segment["label"], segment["start"]) for segment in segments
    ]
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False) as engine:
        first = engine.classify(VideoFile(long_video).frames([2, 6, 10, 14]))
    assert segments[0]["label"] == first.best.name
    with av.open(str(saved)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([number / 8 for number in range(48)])
    before, after = VideoFile(long_video).frames([20])[0], VideoFile(saved).frames([20])[0]
    assert np.abs(before[:60].astype(int) - after[:60]).mean() < 10
    assert after[75:].mean() < 0.75 * before[75:].mean()  # the caption's ground


def test_windows_as_long_as_clips_were(
    long_video: Path, tiny_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("classify", long_video, "--window", "auto", "--no-operator-library", "--json", "-")
    assert run_cli(*command, "--model", tiny_graph) == 1
    assert "does not record how far apart frames were in training" in capsys.readouterr().err
    spaced = with_spacing(tiny_graph, tmp_path / "spaced.onnx", 0.5)
    assert run_cli(*command, "--model", spaced) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["window"] == found["stride"] == 2 and found["frame_spacing"] == 0.5
    assert sum(segment["windows"] for segment in found["segments"]) == 3
    assert run_cli(*command, "--model", spaced, "--window", 4) == 0
    assert "1 s apart, in training they were 0.5 s" in capsys.readouterr().err


@pytest.mark.parametrize("spacing", [None, 0.25])
def test_a_stream_runs_once_through_all_windows(
    long_video: Path,
    stream_graph: Path,
    tmp_path: Path,
    spacing: float | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Answers are those of one stream of all steps, whose history no window interrupts."""
    graph = stream_graph
    if spacing is not None:
        graph = with_spacing(stream_graph, tmp_path / "spaced.onnx", spacing)
    command = ("classify", long_video, "--model", graph, "--no-operator-library", "--json", "-")
    assert run_cli(*command, "--window", 2, "--stride", 1) == 0
    found = json.loads(capsys.readouterr().out)
    apart = found["frame_spacing"]
    assert apart == (spacing or 2 / 4)  # 4 frames of a clip in a window
    images = VideoFile(long_video).frames(range(0, 48, round(8 * apart)))
    with (
        adafuse_deploy.load_engine(graph, operator_library=False) as engine,
        engine.stream() as stream,
    ):
        steps = [stream.classify(image).prediction for image in images]  # type: ignore[union-attr]
        labels = engine.metadata.config.labels
    logits, macs = [], []
    for start in range(5):
        inside = slice(round(start / apart), round((start + 2) / apart))
        logits.append(np.mean([step.frame_logits[0, 0] for step in steps[inside]], 0))
        macs.append(np.mean([step.macs[0] for step in steps[inside]]) * 4)
    best = [labels[index] for index in np.argmax(logits, -1)]
    expanded = [s["label"] for s in found["segments"] for _ in range(s["windows"])]
    assert expanded == best
    shares = np.array([1.5, 1, 1, 1, 1.5])
    needed = sum(s["gmacs"] * (s["end"] - s["start"]) for s in found["segments"])
    assert needed == pytest.approx((shares * macs).sum() / 1e9, rel=1e-6)


def test_a_window_without_a_step_has_the_last_one(stream_graph: Path, tmp_path: Path) -> None:
    """Where a video stands still longer than a break no step is made up."""
    times = [0.0, 0.5, 1.0, 100.0, 100.5]
    frames = [replace(frame, begins=n == 3) for n, frame in enumerate(numbered(times))]
    windows = cut_windows(101, 2, 2)
    with adafuse_deploy.load_engine(stream_graph, operator_library=False) as engine:
        answers = list(stream_windows(engine, iter(frames), windows))
        assert len(answers) == len(windows) == 51
        counts = [answer.frame_logits.shape[1] for answer in answers]
        assert counts == [3] + [1] * 48 + [1, 2]
        np.testing.assert_array_equal(answers[1].logits, answers[48].logits)
        with engine.stream() as stream:
            image = preprocess(frames[3].image[None], engine.metadata.config.preprocessing)
            np.testing.assert_allclose(
                answers[50].frame_logits[0, 0], stream.push(image).logits[0], rtol=1e-5, atol=1e-6
            )
        with pytest.raises(InputError, match="no frame"):
            list(stream_windows(engine, iter(()), windows))


def test_captions_follow_time_and_frames_keep_theirs(tmp_path: Path) -> None:
    times = [3.0, 3.04, 3.5, 4.2]  # of a variable rate, with sides that are odd
    frames = [Frame(lambda: np.full((61, 81, 3), 200, np.uint8), seconds) for seconds in times]
    asked: list[float] = []

    def captions(seconds: float) -> tuple[str, str]:
        asked.append(seconds)
        return "a label that is far too long for the width of so small a frame  99%", "saved"

    assert write_annotated(tmp_path / "out.mp4", frames, captions) == 4
    assert asked == pytest.approx([0, 0.04, 0.5, 1.2])
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = list(container.decode(video=0))
    assert [frame.time for frame in shown] == pytest.approx(asked, abs=1e-4)
    assert (shown[0].width, shown[0].height) == (80, 60)
    with pytest.raises(InputError, match="no frame"):
        write_annotated(tmp_path / "none.mp4", [], captions)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_options_that_do_not_go_together(long_video: Path, tiny_graph: Path) -> None:
    base = ("classify", long_video, "--model", tiny_graph)
    assert run_cli(*base, "--stride", 1) == 2
    assert run_cli(*base, "--save", "out.mp4") == 2
    assert run_cli(*base, long_video, "--window", 2) == 2
    assert run_cli(*base, "--window", 1, "--stride", 2) == 1
    assert run_cli("classify", "none.mp4", "--model", tiny_graph, "--window", 1) == 1
