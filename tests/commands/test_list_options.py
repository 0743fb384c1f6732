"""The options by which verbs read lists and frames, on lists that need them."""

from __future__ import annotations

import json
from pathlib import Path

import av
import click
import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.cli import VERBS, adafuse_deploy
from adafuse_deploy.commands.build_engine import _observed
from adafuse_deploy.data.lists import ListReading
from adafuse_deploy.data.video import write_video
from adafuse_deploy.engines.loader import load_engine
from tests.support import damage, run_cli

LIST_OPTIONS = {
    *("--root", "--template", "--first-label", "--skip-missing", "--skipped-file"),
    "--strict-frames",
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders with images of two cameras each; of the third video one image is broken."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(7)
    for video in range(3):
        (folder / f"v{video}").mkdir()
        for number in range(4):
            for camera in ("left", "right"):
                pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"v{video}" / f"{camera}{number}.png")
    (folder / "v2" / "left2.png").write_bytes(b"broken")
    return folder


def options(verb: str) -> set[str]:
    command = adafuse_deploy.get_command(click.Context(adafuse_deploy), verb)
    assert command is not None
    return {name for option in command.params for name in option.opts}


def test_every_verb_that_reads_lists_has_all_options() -> None:
    readers = {verb for verb in VERBS if "--data" in options(verb)}
    assert {"train", "evaluate", "verify", "quantize", "build-engine", "bench"} <= readers
    for verb in readers:
        assert options(verb) >= LIST_OPTIONS, verb
    for verb in ("classify", "stream"):
        assert {"--template", "--strict-frames"} <= options(verb)


def test_labels_from_one_and_templates_and_skipping(
    frames: Path,
    tmp_path: Path,
    tiny_checkpoint: Path,
    tiny_graph: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A list without labels for quantize and classify, one from 1 with a broken video else."""
    plain, labelled = tmp_path / "plain.txt", tmp_path / "labelled.txt"
    plain.write_text("v0\nv1 4\n")
    labelled.write_text("v0 4 1\nv1 4 5\nv2 4 2\n")
    given = ("--root", frames, "--template", "left{:d}.png")
    assert run_cli("quantize", tiny_graph, "--data", plain, *given, "-o", tmp_path / "q.onnx") == 0
    answers = tmp_path / "answers.json"
    code = run_cli("classify", "--data", plain, "--model", tiny_graph, *given, "--json", answers)
    assert code == 0
    with load_engine(tiny_graph) as engine:
        expected = [engine.classify(frames / name, template="left%d.png") for name in ("v0", "v1")]
        entries = json.loads(answers.read_text())["videos"]
        assert [entry["video"] for entry in entries] == [
            str(frames / name) for name in ("v0", "v1")
        ]
        for entry, answer in zip(entries, expected, strict=True):
            assert entry["top"][0]["label"] == answer.best.name
            assert entry["top"][0]["probability"] == pytest.approx(answer.best.probability)
        clips = _observed(tiny_graph, plain, ListReading(root=frames, template="left{:d}.png"))
        (first,) = engine.run(clips[0][None]).logits
        np.testing.assert_array_equal(first, expected[0].prediction.logits[0])
    capfd.readouterr()

    arguments = ("evaluate", tiny_checkpoint, "--data", labelled, "--device", "cpu", *given)
    assert run_cli(*arguments) == 1
    assert "left2.png is damaged" in capfd.readouterr().err
    skipped = tmp_path / "skipped.txt"
    figures = tmp_path / "figures.json"
    more = ("--skip-missing", "--skipped-file", skipped, "--json", figures)
    assert run_cli(*arguments, *more) == 0
    told = capfd.readouterr().err
    assert "Warning: The labels of" in told and "count from 1" in told
    assert "1 are missing or broken and left out" in told
    assert "left2.png" in skipped.read_text()
    values = json.loads(figures.read_text())
    assert values["clips"] == 2 and len(values["warnings"]) == 2
    assert f"{skipped} names them" in values["warnings"][1]


def test_options_of_lists_want_a_list(tiny_graph: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("classify", "a.mp4", "--model", tiny_graph, "--skip-missing"),
        ("build-engine", tiny_graph, "--first-label", "1"),
        ("bench", "--root", "."),
    ):
        assert run_cli(*arguments) == 2
        assert "belongs to --data" in capfd.readouterr().err
    assert run_cli("classify", "--model", tiny_graph) == 2
    assert "Give a VIDEO, or a list" in capfd.readouterr().err
    assert run_cli("classify", "list.txt", "--model", "model.onnx") == 2
    assert "list.txt is a list, not a video; give it with --data" in capfd.readouterr().err


def test_damaged_frames_are_refused_on_the_command_line(
    tmp_path: Path,
    tiny_graph: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(av, "codecs_available", frozenset())  # MPEG-4 part 2 bears damage
    noise = np.random.default_rng(1).integers(0, 256, (8, 48, 64, 3)).astype(np.uint8)
    video = tmp_path / "video.mp4"
    write_video(video, noise)
    damage(video, range(5, 7))
    answer = tmp_path / "answer.json"
    assert run_cli("classify", video, "--model", tiny_graph, "--json", answer) == 0
    (sentence,) = json.loads(answer.read_text())["warnings"]
    assert f"Warning: {sentence}\n" in capfd.readouterr().err
    assert sentence.endswith("the decoder marks 2 of its 8 frames as damaged.")
    assert run_cli("classify", video, "--model", tiny_graph, "--strict-frames") == 1
    assert "of its 8 frames as damaged; record" in capfd.readouterr().err
