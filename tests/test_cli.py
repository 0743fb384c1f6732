"""The command line as a whole: help without runtimes, exit codes, one sentence per error."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.assets import SAMPLE_VIDEO
from adafuse_deploy.cli import VERBS, adafuse_deploy
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.data.video import write_video
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.models.registry import model_names
from tests.golden import write_official
from tests.support import run_cli

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "av", "polygraphy")
FILE_OPTIONS = {
    *("checkpoint", "classes", "data", "engines", "file", "folder", "graph", "init"),
    *("json_file", "lists", "model", "output", "recipe", "root", "source", "timing_cache", "val"),
    *("csv_file", "skipped_file", "video", "models", "holdout", "figures", "replay"),
    "save_failures",
}


def test_help_works_with_no_runtime_installed() -> None:
    """Every verb's help, in a Python where importing any heavy package fails."""
    script = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None
from click.testing import CliRunner
from adafuse_deploy.assets import SAMPLE_VIDEO
from adafuse_deploy.cli import VERBS, adafuse_deploy
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.engines.loader import load_engine
for verb in [None, *VERBS]:
    result = CliRunner().invoke(adafuse_deploy, [verb, "--help"] if verb else ["--help"])
    assert result.exit_code == 0, (verb, result.exception)
    words = " ".join(result.output.split())
    assert verb is None or "Example" in words and "adafuse-deploy " + verb in words, verb
    assert verb is None or "docs/glossary.md" in words, verb
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_verbs_are_those_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("--help") == 0
    shown = capsys.readouterr().out.partition("Verbs:")[2].partition("\n\n")[0]
    page = (ROOT / "docs/command_line.md").read_text()
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", page, re.M)
    documented = re.findall(r"`([a-z-]+)`", " ".join(rows))
    assert len(documented) > 10
    assert set(re.findall(r"^  ([a-z-]+) ", shown, re.M)) == set(documented)


@pytest.mark.parametrize("arguments", [["nonsense"], ["export"], ["export", "a.pt"], ["--what"]])
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    assert run_cli(*arguments) == 2


@pytest.mark.parametrize("threads", [0, 1025, 3_000_000_000, 10**20])
def test_numbers_of_threads(threads: int, tiny_graph: Path, tmp_path: Path) -> None:
    """Those that runtimes would stop at with an error of their own, or with the machine."""
    assert run_cli("classify", tmp_path, "--model", tiny_graph, "--threads", threads) == 2
    with pytest.raises(InputError, match="is 1 to 1024, not"):
        load_engine(tiny_graph, threads=threads)


def test_too_little_memory_is_a_sentence(
    stream_graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("stream", stream_graph, SAMPLE_VIDEO, "--consensus", "window")
    assert run_cli(*words, "--window", 10**14, "--no-operator-library") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("Error: There is not enough memory (Unable to allocate ")


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
    assert run_cli("convert", official, "--no-temporal-shift", "--size", 112, "-o", ours) == 0
    assert "resnet18, gated stages: 1, 2, 3, 4" in capsys.readouterr().out
    assert run_cli("inspect", ours) == 0
    assert "resnet18" in capsys.readouterr().out
    assert run_cli("convert", ours, "--official", "-o", tmp_path / "again.pt") == 1
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


def test_short_help_and_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("-h") == 0
    top = capsys.readouterr().out
    assert run_cli("export", "-h") == 0
    assert "--output" in capsys.readouterr().out
    words = [sys.executable, "-m", "adafuse_deploy", "--help"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == top


@pytest.mark.parametrize(
    ("word", "hint"),
    [("verfy", "did you mean verify"), ("clasify", "did you mean classify"), ("x9", "see --help")],
)
def test_a_mistyped_verb_gets_a_suggestion(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(word) == 2
    assert f"There is no verb {word!r}; {hint}" in capsys.readouterr().err


def test_errors_of_the_system_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("inspect", f"{'x' * 300}.onnx") == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and error.endswith("File name too long.\n")


def test_shells_complete_verbs_and_options() -> None:
    for typed, completed in [
        ("ver", "verify"),
        ("export --mo", "--mode"),
    ]:
        words = f"adafuse-deploy {typed}"
        done = subprocess.run(
            [sys.executable, "-m", "adafuse_deploy"],
            env={
                **os.environ,
                "_ADAFUSE_DEPLOY_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"plain,{completed}" in done.stdout


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("--list-models") == 0
    assert capsys.readouterr().out.splitlines() == model_names()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["export", "c.pt", "-o", "no/x.onnx"], "-o/--output"),
        (["export", "c.pt", "-o", "model"], "-o/--output"),
        (["quantize", "m.onnx", "--data", "l.txt", "-o", "no/x.onnx"], "-o/--output"),
        (["quantize", "m.onnx", "--data", "l", "-o", "x.onnx", "--json", "no/x.json"], "--json"),
        (["prune", "c.pt", "--data", "l.txt", "-o", "no/x.pt"], "-o/--output"),
        (["prune", "c.pt", "--data", "l.txt", "-o", "model"], "-o/--output"),
        (["build-engine", "m.onnx", "-o", "no/x.onnx"], "-o/--output"),
        (["build-engine", "m.onnx", "-o", "model"], "-o/--output"),
        (["build-engine", "no/m.onnx"], "-o/--output"),
        (["build-engine", "m.onnx", "--timing-cache", "no/cache"], "--timing-cache"),
        (["verify", "m.onnx", "--checkpoint", "c.pt", "--json", "no/v.json"], "--json"),
        (["verify", "m.onnx", "--save-failures", "folder"], "--save-failures"),
        (["bench", "--json", "no/b.json"], "--json"),
        (["profile", "m.onnx", "--trace", "no/t.json"], "--trace"),
        (["classify", "v.mp4", "--model", "m.onnx", "--json", "no/c.json"], "--json"),
        (["stream", "m.onnx", "v.mp4", "--json", "no/s.json"], "--json"),
        (["train", "--synthetic", "-o", "no/x.pt"], "-o/--output"),
        (["train", "--synthetic", "-o", "folder"], "-o/--output"),
        (["evaluate", "c.pt", "--synthetic", "9", "--json", "no/e.json"], "--json"),
        (["policies", "c.pt", "--data", "l.txt", "--figures", "folder"], "--figures"),
        (["convert", "c.pt", "-o", "no/x.pt"], "-o/--output"),
        (["inspect", "c.pt", "--json", "folder"], "--json"),
        (["doctor", "--json", "no/d.json"], "--json"),
    ],
)
def test_outputs_are_checked_before_anything_else(
    arguments: list[str],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the inputs are: none of them exists.  The message names the option."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_cli(*arguments) == 1
    printed = capsys.readouterr()
    assert f"({option})" in printed.err and printed.err.count("\n") == 1, printed.err
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_json_to_standard_output_leaves_it_alone(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "x.json"
    assert run_cli("inspect", tiny_checkpoint, "--json", target) == 0
    text = capsys.readouterr().out
    assert "resnet18 of 2+1+1+1 blocks" in text
    assert run_cli("inspect", tiny_checkpoint, "--json", "-") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads(target.read_text())
    assert "resnet18 of 2+1+1+1 blocks" in printed.err


def test_quiet_leaves_results_and_errors(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("inspect", tiny_checkpoint, "--quiet") == 0
    printed = capsys.readouterr()
    assert "resnet18 of 2+1+1+1 blocks" in printed.out and printed.err == ""
    assert run_cli("synthesize", tmp_path / "v", "--count", 1, "--size", 32, "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert run_cli("synthesize", tmp_path / "v", "--count", 1, "-q") == 1
    assert "not empty" in capsys.readouterr().err


class _Lost(io.StringIO):
    """Standard output that fails as a full disk or a closed pipe does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def fileno(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [(errno.EPIPE, 141, ""), (errno.ENOSPC, 1, "Error: Cannot write to standard output: No space")],
)
def test_reports_outlive_their_readers(
    number: int,
    code: int,
    message: str,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file is there although the text could not be printed."""
    target = tmp_path / "report.json"
    monkeypatch.setattr(sys, "stdout", _Lost(number))
    assert run_cli("inspect", tiny_checkpoint, "--json", target) == code
    assert json.loads(target.read_text())["kind"] == "checkpoint"
    error = capsys.readouterr().err
    assert error.startswith(message) and "Traceback" not in error
    assert bool(error) == bool(message)


def test_a_pipe_that_closes_ends_quietly() -> None:
    """With and without Python's own buffer, which is flushed when Python ends."""
    for unbuffered in ("", "1"):
        with subprocess.Popen(
            [sys.executable, "-m", "adafuse_deploy", "--help"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            error = process.stderr.read()
        assert (process.returncode, error) == (141, b"")


@pytest.mark.usefixtures("no_gpu")
def test_doctor_requires(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("doctor", "--require", "onnxruntime", "--require", "torch") == 0
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert run_cli("doctor", "--require", "torch", "--require", "openvino", "--require", "gpu") == 3
    printed = capsys.readouterr()
    assert "Missing here: openvino, gpu;" in printed.err
    assert run_cli("doctor", "--require", "tflite") == 2


def test_files_complete() -> None:
    """Where a shell can complete names of files, it is told to."""
    for verb in VERBS:
        command = adafuse_deploy.get_command(click.Context(adafuse_deploy), verb)
        assert command is not None
        for option in command.params:
            if option.name in FILE_OPTIONS and (verb, option.name) != ("train", "model"):
                kinds = {item.type for item in option.shell_complete(click.Context(command), "x")}
                assert kinds & {"file", "dir"}, (verb, option.name)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["train", "--synthetic", "-o", "x.pt", f"--{name}", "nan"] for name in ("lr", "width")),
        *(["train", "--synthetic", "-o", "x.pt", f"--{name}", "-1"] for name in ("seed", "size")),
        ["evaluate", "c.pt", "--synthetic", "0"],
        ["evaluate", "c.pt", "--synthetic", "9", "--batch-size", "0"],
        ["stream", "m.onnx", "v.mp4", "--fps", "inf"],
        ["stream", "m.onnx", "v.mp4", "--decay", "1"],
        ["bench", "--max-seconds", "nan"],
        ["quantize", "m.onnx", "--data", "l.txt", "-o", "x.onnx", "--percentile", "0"],
        ["synthesize", "v", "--seed", "-1"],
    ],
)
def test_impossible_numbers_are_usage_errors(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(*arguments) == 2
    assert "Invalid value for '--" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_standard_output_on_a_full_disk(full_device: Path) -> None:
    """The process as a whole, with Python's buffer and without."""
    for unbuffered in ("", "1"):
        with full_device.open("w") as file:
            done = subprocess.run(
                [sys.executable, "-m", "adafuse_deploy", "--help"],
                stdout=file,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                text=True,
            )
        assert done.returncode == 1
        assert done.stderr == ("Error: Cannot write to standard output: No space left on device.\n")


def test_json_through_a_pipe(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As in ``--json >(gzip > report.json.gz)``."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    assert run_cli("inspect", tiny_checkpoint, "--json", pipe) == 0
    reader.join(10)
    assert json.loads(got[0])["kind"] == "checkpoint" and pipe.is_fifo()


@pytest.mark.parametrize(
    "words",
    [
        "inspect copy.pt --json copy.pt",
        "inspect copy.pt --json link.pt",
        "convert copy.pt -o copy.pt",
        "classify video.mp4 --model model.onnx --json video.mp4",
        "evaluate copy.pt --data list.txt --csv list.txt",
        "quantize model.onnx --data list.txt -o model.onnx",
    ],
)
def test_outputs_never_replace_inputs(
    words: str,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_checkpoint, "copy.pt")
    Path("link.pt").symlink_to("copy.pt")
    for name in ("video.mp4", "model.onnx", "list.txt"):
        Path(name).write_text(name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run_cli(*words.split()) == 1
    error = capsys.readouterr().err
    assert "would replace what this command reads" in error and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_help_reaches_no_heavy_package() -> None:
    code = (
        "import sys, adafuse_deploy.cli, adafuse_deploy.commands.options as _; "
        "print(*{'numpy', 'onnx', 'onnxruntime', 'torch', 'av'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
