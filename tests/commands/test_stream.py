"""``adafuse-deploy stream``, and what other verbs do with a stream graph."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data import feed as feeds
from adafuse_deploy.data.feed import Frame
from adafuse_deploy.data.transforms import preprocess
from adafuse_deploy.data.video import VideoFile, write_video
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import run_cli, with_spacing


@pytest.fixture
def video(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (12, 80, 96, 3)).astype(np.uint8)
    write_video(tmp_path / "video.mp4", images, fps=4)
    return tmp_path / "video.mp4"


Lines = Callable[..., list[dict[str, object]]]


@pytest.fixture
def lines(stream_graph: Path, capfd: pytest.CaptureFixture[str]) -> Lines:
    """Run the verb with --json and return its objects."""

    def run(source: object, *options: object) -> list[dict[str, object]]:
        assert run_cli("stream", stream_graph, source, "--json", "-", *options) == 0
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return run


def test_a_file_frame_by_frame(video: Path, lines: Lines, stream_graph: Path) -> None:
    shown = lines(video, "--consensus", "window", "--window", 3, "--top", 3)
    assert [line["frame"] for line in shown] == list(range(12))
    assert [line["seconds"] for line in shown] == [number / 4 for number in range(12)]
    images = VideoFile(video).frames(range(12))
    with (
        load_engine(stream_graph) as engine,
        engine.stream(consensus="window", window=3) as stream,
    ):
        for line, image in zip(shown, images, strict=True):
            frame = preprocess(image[None], engine.metadata.config.preprocessing)
            expected = stream.push(frame)
            order = expected.top(3)[0]
            top = line["top"]
            assert isinstance(top, list)
            assert [entry["class"] for entry in top] == order.tolist()
            got = [entry["probability"] for entry in top]
            np.testing.assert_allclose(got, expected.probabilities[0, order], rtol=1e-5)
            assert line["macs"] == expected.macs[0] and line["dropped"] == 0


def test_sampling_and_maximum(video: Path, lines: Lines) -> None:
    assert [line["seconds"] for line in lines(video, "--stride", 4)] == [0, 1, 2]
    assert [line["seconds"] for line in lines(video, "--fps", 1)] == [0, 1, 2]
    assert [line["seconds"] for line in lines(video, "--fps", 8)] == [n / 8 for n in range(23)]
    assert len(lines(video, "--max-frames", 5)) == 5


def test_steps_are_as_in_training(
    video: Path, stream_graph: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """At 4 frames a second and a spacing of 0.75 s every third frame; old graphs take each."""
    spaced = with_spacing(stream_graph, tmp_path / "spaced.onnx", 0.75)

    def seen(graph: Path, source: Path, *options: object) -> list[float]:
        assert run_cli("stream", graph, source, "--json", "-", *options) == 0
        return [json.loads(line)["seconds"] for line in capfd.readouterr().out.splitlines()]

    assert seen(spaced, video) == [0, 0.75, 1.5, 2.25]
    assert seen(spaced, video, "--stride", 6) == [0, 1.5]
    assert seen(spaced, video, "--fps", 1) == [0, 1, 2]
    assert run_cli("stream", stream_graph, video) == 0
    assert "does not record how far apart frames were" in capfd.readouterr().err
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(1, 9):
        Image.new("RGB", (80, 80)).save(folder / f"{number:05d}.jpg")
    assert seen(spaced, folder, "--source-rate", 4) == [0, 0.75, 1.5]


def test_text_shows_changes_and_ends_with_a_summary(
    video: Path, stream_graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("stream", stream_graph, video, "--operator-library") == 0
    printed = capsys.readouterr()
    shown = printed.out.splitlines()
    labels = [line.split()[2] for line in shown]
    assert labels and set(labels) <= {"left", "right", "still"}
    assert all(a != b for a, b in itertools.pairwise(labels))
    assert "\n12 frames, 0 dropped, " in printed.err
    assert "GMACs" in printed.err


def test_a_camera_that_comes_back_and_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, lines: Lines, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stream begins anew after a lost connection; Ctrl-C ends it with success."""
    # A shell that starts this in the background has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    image = np.random.default_rng(1).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    monkeypatch.setattr(feeds, "FIRST_PAUSE", 0.01)
    opened = []

    def decode(source: str) -> Iterator[Frame]:
        opened.append(source)
        if len(opened) == 3:
            signal.raise_signal(signal.SIGINT)
            raise InputError("off")
        yield Frame(lambda: image, 0.0)
        time.sleep(0.2)  # until it was taken

    monkeypatch.setattr(feeds, "_receive", decode)
    try:
        shown = lines("rtsp://camera/live", "--consensus", "mean", "--retries", 3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert opened[:2] == ["rtsp://camera/live"] * 2
    assert len(shown) == 2
    assert shown[0]["macs"] == shown[1]["macs"] and shown[0]["top"] == shown[1]["top"]


def test_a_reader_that_goes_away(video: Path, stream_graph: Path) -> None:
    words = [sys.executable, "-m", "adafuse_deploy", "stream", stream_graph, video, "--json", "-"]
    with subprocess.Popen(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        error = process.stderr.read().decode()
    assert process.returncode == 141 and "Traceback" not in error


def test_lines_go_to_a_file_and_text_to_the_terminal(
    video: Path, stream_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, link = tmp_path / "frames.jsonl", tmp_path / "link"
    target.write_text("old\n" * 1000)
    target.chmod(0o600)
    link.symlink_to(target)
    assert run_cli("stream", stream_graph, video, "--json", link) == 0
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o600
    assert lines[0]["top"][0]["label"] in capsys.readouterr().out


def test_a_full_disk_is_a_sentence(
    video: Path, stream_graph: Path, full_device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("stream", stream_graph, video, "--json", full_device) == 1
    error = capsys.readouterr().err
    assert f"Error: Cannot write {full_device}: No space left on device." in error


def test_refusals(
    video: Path, stream_graph: Path, tiny_graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("stream", tiny_graph, video) == 1
    assert "--mode stream" in capsys.readouterr().err
    assert run_cli("stream", stream_graph, "none.mp4") == 1
    assert "There is no video file none.mp4" in capsys.readouterr().err


def test_other_verbs(
    video: Path,
    stream_graph: Path,
    online_model: VideoRecognizer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = tmp_path / "model.pt"
    save_checkpoint(online_model, checkpoint)

    exported = tmp_path / "again.onnx"
    assert run_cli("export", checkpoint, "--mode", "stream", "-o", exported) == 0
    assert "input frame (N, 3x64x64)" in capsys.readouterr().out

    assert run_cli("inspect", stream_graph) == 0
    described = " ".join(capsys.readouterr().out.split())
    assert "the next frame of N streams" in described and "StreamGatedConv 5" in described
    assert "state: 25 tensors" in described

    assert run_cli("classify", video, "--model", stream_graph, "--json", "-") == 0
    answer = json.loads(capsys.readouterr().out)
    assert run_cli("classify", video, "--model", checkpoint, "--json", "-") == 0
    reference = json.loads(capsys.readouterr().out)
    assert answer["macs"] == reference["macs"]
    assert [e["label"] for e in answer["top"]] == [e["label"] for e in reference["top"]]

    words = ["--checkpoint", checkpoint, "--random", 2, "--rounds", 1, "--threads", 1]
    assert run_cli("verify", stream_graph, *words, "--backend", "onnxruntime") == 0
    assert "policy agreement 100 %" in capsys.readouterr().out

    target = tmp_path / "model.engine"
    code = run_cli("build-engine", stream_graph, "-o", target, "--backend", "tensorrt-rtx")
    message = capsys.readouterr().err
    assert code == 3 or (code == 1 and "takes streams frame by frame" in message)
    assert not target.exists()
