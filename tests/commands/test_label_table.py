"""``classify --output``: a row for every video, whatever happens on the way."""

from __future__ import annotations

import csv
import fcntl
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import adafuse_deploy
from adafuse_deploy.core.journal import Journal
from adafuse_deploy.data.clip_workers import ClipSettings, read_clips
from adafuse_deploy.data.inputs import Video, find_videos
from adafuse_deploy.data.video import write_video
from tests.support import run_cli

COLUMNS = ["path", "label_1", "class_1", "probability_1", "label_2", "class_2", "probability_2"]
COLUMNS += ["gmacs", "frames", "seconds", "error"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos in folders, one of them frames, one broken, one too short."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    (folder / "deep" / "frames").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "deep/c.mp4"):
        write_video(folder / name, rng.integers(0, 255, (12, 40, 48, 3), np.uint8))
    for number in range(6):
        image = Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8))
        image.save(folder / "deep" / "frames" / f"{number}.png")
    (folder / "broken.mp4").write_text("no video " * 100)
    write_video(folder / "short.mp4", np.zeros((2, 40, 48, 3), np.uint8))
    return folder


def classify(model: Path, *arguments: object) -> int:
    options = ("--model", model, "--top", 2, "--workers", 1, "--no-operator-library")
    return run_cli("classify", *arguments, *options)


def test_every_video_has_a_row(
    videos: Path, tiny_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "labels.csv"
    inputs = (videos, videos / "none.mp4", videos / "a.mp4")
    assert classify(tiny_graph, *inputs, "--output", table) == 1
    assert "3 of 7 videos could not be labelled" in capsys.readouterr().err
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == COLUMNS
    found = {str(Path(row["path"]).relative_to(videos)): row for row in rows}
    names = ["a.mp4", "b.mp4", "broken.mp4", "deep/c.mp4", "deep/frames", "none.mp4", "short.mp4"]
    assert sorted(found) == names and len(rows) == len(names)
    errors = {"broken.mp4": "cannot be decoded", "none.mp4": "There is no", "short.mp4": "2 frames"}
    with adafuse_deploy.load_engine(tiny_graph, operator_library=False) as engine:
        for name, row in found.items():
            if name in errors:
                assert errors[name] in row["error"] and not row["label_1"]
                continue
            answer = engine.classify(videos / name, top=2)
            assert not row["error"]
            for rank, label in enumerate(answer, 1):
                assert row[f"label_{rank}"] == label.name
                assert int(row[f"class_{rank}"]) == label.index
                assert float(row[f"probability_{rank}"]) == label.probability
            assert float(row["gmacs"]) == int(answer.prediction.macs[0]) / 1e9
    assert found["a.mp4"]["frames"] == "12" and float(found["a.mp4"]["seconds"]) == 1.5
    assert found["deep/frames"]["frames"] == "6" and not found["deep/frames"]["seconds"]
    assert not table.with_name("labels.csv.partial").exists()


def test_forms_of_tables(videos: Path, tiny_graph: Path, tmp_path: Path) -> None:
    given = (videos / "a.mp4", videos / "b.mp4")
    for suffix in ("csv", "jsonl"):
        assert (
            classify(tiny_graph, *given, "--output", tmp_path / f"t.{suffix}", "--workers", 0) == 0
        )
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [{name: str(value or "") for name, value in line.items()} for line in lines] == [
        {name: "" if value == "0" else value for name, value in row.items()} for row in rows
    ]


def test_parquet_tables(videos: Path, tiny_graph: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    given = (videos / "a.mp4", videos / "broken.mp4")
    for name in ("t.parquet", "t.jsonl"):
        assert classify(tiny_graph, *given, "--output", tmp_path / name, "--workers", 0) == 1
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == lines


def test_parquet_takes_a_package(
    tiny_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert classify(tiny_graph, tmp_path, "--output", tmp_path / "t.parquet") == 3


def test_what_inputs_stand_for(videos: Path, tmp_path: Path) -> None:
    def names(*inputs: object, root: Path | None = None) -> list[str]:
        found = find_videos([str(name) for name in inputs], root)
        return [str(Path(video.path).relative_to(videos)) for video in found]

    assert names(videos / "deep") == ["deep/c.mp4", "deep/frames"]
    assert names(videos / "deep" / "frames") == ["deep/frames"]
    assert names(f"{videos}/*.mp4") == ["a.mp4", "b.mp4", "broken.mp4", "short.mp4"]
    assert names(f"{videos}/**/c.mp4", videos / "a.mp4", videos)[:2] == ["deep/c.mp4", "a.mp4"]
    (tmp_path / "list.txt").write_text("b.mp4 1\ndeep/frames 5 0\ngone.mp4 2\n")
    assert names(tmp_path / "list.txt", root=videos) == ["b.mp4", "deep/frames", "gone.mp4"]
    (frames,) = (v for v in find_videos([str(tmp_path / "list.txt")], videos) if v.num_frames)
    assert frames.num_frames == 5
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "*.mp4"):
        with pytest.raises(adafuse_deploy.InputError, match="There is no video in"):
            find_videos([str(nothing)])


def test_options_that_do_not_go_together(videos: Path, tiny_graph: Path, tmp_path: Path) -> None:
    a, b, table = videos / "a.mp4", videos / "b.mp4", tmp_path / "t.csv"
    assert run_cli("classify", a, b, "--model", tiny_graph) == 2
    assert run_cli("classify", a, "--model", tiny_graph, "--resume") == 2
    assert run_cli("classify", "--model", tiny_graph, "--output", table) == 2
    assert classify(tiny_graph, a, "--output", tmp_path / "t.xlsx") == 1
    assert classify(tiny_graph, a, "--output", tmp_path / "no" / "t.csv") == 1
    assert classify(tiny_graph, tmp_path, "--output", table) == 1
    assert not list(tmp_path.iterdir())


def test_work_that_was_killed_continues(videos: Path, tiny_graph: Path, tmp_path: Path) -> None:
    table, journal = tmp_path / "t.jsonl", tmp_path / "t.jsonl.partial"
    for number in range(40):
        (tmp_path / f"{number:02}.mp4").write_bytes((videos / "a.mp4").read_bytes())
    arguments = ["classify", tmp_path, "--model", tiny_graph, "--top", "2", "--workers", "1"]
    arguments += ["--no-operator-library", "--output", table]
    command = [sys.executable, "-m", "adafuse_deploy", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not table.exists()
    done = journal.read_bytes().count(b"\n") - 1
    journal.write_bytes(journal.read_bytes() + b'{"path": "' + b"x" * 20)  # while it was writing
    assert classify(tiny_graph, tmp_path, "--output", table) == 1  # not without --resume
    assert classify(tiny_graph, tmp_path, "--output", table, "--resume", "--strict-frames") == 1
    assert classify(tiny_graph, tmp_path, "--output", table, "--resume") == 0
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert [Path(row["path"]).name for row in rows] == [f"{n:02}.mp4" for n in range(40)]
    assert len({row["probability_1"] for row in rows}) == 1 and 3 <= done < 40
    assert not journal.exists()
    assert classify(tiny_graph, tmp_path, "--output", table, "--resume") == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_complete_table_is_not_taken_for_one_of_other_videos(
    suffix: str,
    videos: Path,
    tiny_graph: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    given = [shutil.copy(videos / "a.mp4", odd), videos / "broken.mp4"]
    table = tmp_path / f"t.{suffix}"
    assert classify(tiny_graph, *given, "--output", table) == 1
    capsys.readouterr()
    before = table.read_bytes()
    for inputs, said in (
        (given, "is complete: there is nothing to resume.\nError: 1 of 2 videos could not be"),
        ([*given, videos / "b.mp4"], f"no row for 1 of 3 videos, such as {videos}/b.mp4"),
        (given[:1], "is complete and has rows for 2 videos, not 1"),
    ):
        assert classify(tiny_graph, *inputs, "--output", table, "--resume") == 1
        assert said in capsys.readouterr().err
    assert table.read_bytes() == before


def test_a_journal_has_one_writer_and_one_task(tmp_path: Path) -> None:
    first = Journal(tmp_path / "t.csv", {"top": 1}, key="path", resume=False)
    first.add({"path": "a", "value": 1})
    for resume in (True, False):
        with pytest.raises(adafuse_deploy.InputError, match="in use"):
            Journal(tmp_path / "t.csv", {"top": 1}, key="path", resume=resume)
    first.close(done=False)
    with pytest.raises(adafuse_deploy.InputError, match="other work"):
        Journal(tmp_path / "t.csv", {"top": 2}, key="path", resume=True)
    again = Journal(tmp_path / "t.csv", {"top": 1}, key="path", resume=True)
    assert again.rows == {"a": {"path": "a", "value": 1}}
    again.close(done=True)
    assert not list(tmp_path.iterdir())


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file grows beyond ``room`` bytes in the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_journal_that_ends_while_another_process_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one is not the file that was deleted, whose rows would be lost."""
    first = Journal(tmp_path / "t.csv", {}, key="path", resume=False)
    lock = fcntl.flock

    def late_lock(file: Any, how: int) -> None:
        monkeypatch.setattr("adafuse_deploy.core.journal.fcntl.flock", lock)
        first.close(done=True)
        lock(file, how)

    monkeypatch.setattr("adafuse_deploy.core.journal.fcntl.flock", late_lock)
    second = Journal(tmp_path / "t.csv", {}, key="path", resume=False)
    second.add({"path": "a"})
    second.close(done=False)
    assert '{"path": "a"}' in (tmp_path / "t.csv.partial").read_text()


def test_a_full_disk_is_a_sentence(
    videos: Path, tiny_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "t.csv", {}, key="path", resume=False)
    with full_disk(100):
        with pytest.raises(adafuse_deploy.InputError, match=r"Cannot write .*free some space"):
            for number in range(100):
                journal.add({"path": str(number)})
        journal.close(done=False)
    kept = Journal(tmp_path / "t.csv", {}, key="path", resume=True)
    assert list(kept.rows) == [str(number) for number in range(len(kept.rows))] and kept.rows
    kept.close(done=True)
    for room, kept_any in ((0, False), (400, False), (1200, True)):
        with full_disk(room):
            assert classify(tiny_graph, videos, "--output", tmp_path / "t.csv") == 1
        error = capsys.readouterr().err
        assert error.startswith(f"Error: Cannot write {tmp_path}/t.csv.partial: File too large; ")
        assert error.count("\n") == 1, error
        assert [path.name for path in tmp_path.iterdir()] == ["t.csv.partial"] * kept_any
    assert classify(tiny_graph, videos, "--output", tmp_path / "t.csv", "--resume") == 1
    with open(tmp_path / "t.csv", newline="") as file:
        assert len({row["path"] for row in csv.DictReader(file)}) == 6


def test_a_journal_is_a_file(tmp_path: Path) -> None:
    os.symlink("/dev/null", tmp_path / "t.csv.partial")
    with pytest.raises(adafuse_deploy.InputError, match="is no file"):
        Journal(tmp_path / "t.csv", {}, key="path", resume=True)


def test_a_process_that_dies_is_replaced(videos: Path, tiny_metadata: Any) -> None:
    config = tiny_metadata.config
    settings = ClipSettings(config.num_segments, config.preprocessing)
    given = list(enumerate([Video(str(videos / "a.mp4"))] * 12))
    readings = read_clips(given, settings, 1)
    found = [next(readings)]
    (child,) = multiprocessing.active_children()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    found += list(readings)
    assert sorted(reading.number for reading in found) == list(range(12))
    failed = [reading for reading in found if reading.error]
    assert len(failed) <= 1 and all("signal 9" in str(reading.error) for reading in failed)
    clips = [reading.clip for reading in found if reading.clip is not None]
    assert all(np.array_equal(clip, clips[0]) for clip in clips) and len(clips) >= 11
    assert not multiprocessing.active_children()


def test_processes_do_not_run_the_script_that_starts_them(videos: Path, tmp_path: Path) -> None:
    """One without ``if __name__ == "__main__"``, which spawned processes would begin anew."""
    script = tmp_path / "script.py"
    script.write_text(
        "from adafuse_deploy.core.config import Preprocessing\n"
        "from adafuse_deploy.data.clip_workers import ClipSettings, Video, read_clips\n"
        f"given = [(0, Video({str(videos / 'a.mp4')!r}))]\n"
        "(reading,) = read_clips(given, ClipSettings(4, Preprocessing()), 1)\n"
        "print(reading.error, __file__)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["None", str(script)] and done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_verbose_says_once_what_was_decoded_in_full(
    workers: int, tiny_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from adafuse_deploy.assets import SAMPLE_VIDEO

    video = tmp_path / "video.mkv"
    with av.open(str(SAMPLE_VIDEO)) as source, av.open(str(video), "w") as target:
        stream = target.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in source.decode(video=0):
            frame = frame.reformat(64, 64, "yuv420p")
            frame.pts, frame.time_base = None, Fraction(1, 8)  # its own is finer than this codec's
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    table = tmp_path / "t.csv"
    for flag, times in (("-v", 1), ("-q", 0)):
        options = ("--output", table, "--workers", workers, flag)
        assert run_cli("classify", video, "--model", tiny_graph, *options) == 0
        assert capsys.readouterr().err.count("is decoded from beginning to end") == times
