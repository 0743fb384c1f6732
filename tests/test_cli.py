"""The command line as a whole: help without runtimes, exit codes, one sentence per error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.cli import VERBS
from adafuse_deploy.data.video import write_video
from tests.golden import write_official
from tests.support import run_cli

HEAVY = ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "av", "polygraphy")


def test_help_works_with_no_runtime_installed() -> None:
    """Every verb's help, in a Python where importing any heavy package fails."""
    script = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None
from click.testing import CliRunner
from adafuse_deploy.cli import VERBS, adafuse_deploy
for verb in [None, *VERBS]:
    result = CliRunner().invoke(adafuse_deploy, [verb, "--help"] if verb else ["--help"])
    assert result.exit_code == 0, (verb, result.exception)
    words = " ".join(result.output.split())
    assert verb is None or "Example" in words and "adafuse-deploy " + verb in words, verb
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_verb_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("--help") == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("arguments", [["nonsense"], ["export"], ["export", "a.pt"], ["--what"]])
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    assert run_cli(*arguments) == 2


def test_export_and_classify(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, video = tmp_path / "model.onnx", tmp_path / "video.mp4"
    write_video(video, np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), np.uint8))
    assert run_cli("export", tiny_checkpoint, "-o", graph) == 0
    assert f"Next: adafuse-deploy verify {graph}" in capsys.readouterr().err

    answers = []
    for model, flag in [(tiny_checkpoint, []), (graph, []), (graph, ["--no-operator-library"])]:
        assert run_cli("classify", video, "--model", model, "--top", 2, "--json", "-", *flag) == 0
        answers.append(json.loads(capsys.readouterr().out))
    for answer in answers:
        assert [e["label"] for e in answer["top"]] == [e["label"] for e in answers[0]["top"]]
        assert answer["macs"] == answers[0]["macs"] < answer["dense_macs"] * 2
        probabilities = [entry["probability"] for entry in answer["top"]]
        assert probabilities == sorted(probabilities, reverse=True)
    assert answers[1]["engine"] == "onnxruntime + operator library"


def test_convert_makes_a_checkpoint_that_needs_no_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official = write_official("adatsn18", tmp_path)
    ours = tmp_path / "ours.pt"
    assert run_cli("convert", official, "--size", 112, "-o", ours) == 0
    assert "resnet18, gated stages: 1, 2, 3, 4" in capsys.readouterr().out
    assert run_cli("inspect", ours) == 0
    assert "resnet18" in capsys.readouterr().out
    assert run_cli("convert", ours, "-o", tmp_path / "again.pt") == 1
    assert "without --official or convert" in capsys.readouterr().err


def test_synthesized_videos_classify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "videos"
    assert run_cli("synthesize", folder, "--count", 3, "--size", 32, "--frames", 8) == 0
    assert "Next: adafuse-deploy evaluate" in capsys.readouterr().err
    assert len(list(folder.glob("*.mp4"))) == 3
    assert run_cli("synthesize", folder, "--count", 3) == 1
    assert "not empty" in capsys.readouterr().err


def test_bad_input_is_one_sentence_and_leaves_nothing(
    tiny_checkpoint: Path, tiny_graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, text = tmp_path / "short.mp4", tmp_path / "text.mp4"
    write_video(short, np.zeros((3, 48, 48, 3), np.uint8))
    text.write_text("not a video")
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out.onnx"
    for arguments, code, message in [
        (["export", tmp_path / "no.pt", "-o", out], 1, "There is no checkpoint"),
        (["export", text, "-o", out], 1, "not a readable checkpoint"),
        (["export", tiny_checkpoint, "-o", tmp_path / "no" / "out.onnx"], 1, "Cannot write"),
        (["export", tiny_checkpoint, "--temporal-shift", "-o", out], 1, "leave them out"),
        (["classify", short, "--model", tiny_graph], 1, "has 3 frames"),
        (["classify", text, "--model", tiny_graph], 1, "text.mp4"),
        (["classify", tmp_path / "no.mp4", "--model", tiny_graph], 1, "no.mp4"),
        (["classify", short, "--model", tmp_path / "no.onnx"], 1, "There is no graph"),
        (["classify", short, "--model", text], 1, "none of the files that run"),
    ]:
        assert run_cli(*arguments) == code, arguments
        error = capsys.readouterr().err
        assert error.count("Error: ") == 1 and message in error, error
        assert "Traceback" not in error
    assert sorted(tmp_path.iterdir()) == before


def test_warnings_are_sentences(
    tmp_path: Path, tiny_graph: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3, 9):
        Image.new("RGB", (40, 40)).save(folder / f"{number}.png")
    assert run_cli("classify", folder, "--model", tiny_graph) == 0
    assert f"Warning: The images of {folder} begin with 3.png.\n" in capfd.readouterr().err
