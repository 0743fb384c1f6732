"""What a verb advises at its end runs as it was printed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.cli import VERBS, adafuse_deploy
from adafuse_deploy.commands.checkpoints import DESCRIPTION
from adafuse_deploy.commands.next_step import advise, graph_name
from adafuse_deploy.core.metadata import GraphMetadata
from adafuse_deploy.data.video import write_video
from adafuse_deploy.exporters.fused_exporter import lower
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.golden import write_official
from tests.nvidia import write_engine
from tests.support import run_cli, slow

RECIPE = """
model: {name: adafuse_tsm_resnet18, size: 32, width: 0.125, num_segments: 4, gate_hidden: 8,
        gate_quota: 0, shared_policy: false}
data: {scales: [1.0], train_clips: 12, val_clips: 12, drawn_size: 36, drawn_frames: 4}
training: {epochs: 1, batch_size: 6, device: cpu}
"""

CASES = {
    # verb and its arguments -> the verb that is advised
    "synthesize new --count 2 --size 32 --frames 8": "evaluate",
    "synthesize new --count 1 --size 32 --frames 4 --images": "evaluate",
    "train --recipe recipe.yaml --synthetic -o new.pt": "export",
    "convert official.pth.tar --no-temporal-shift --num-segments 4 --size 32 -o -new.pt": "export",
    "evaluate ckpt.pt --data list.txt": "export",
    "evaluate official.pth.tar --no-temporal-shift --size 32 --synthetic 1": "export",
    "export ckpt.pt -o new.onnx": "verify",
    "export ckpt.pt --classes classes.txt -o new.onnx": "verify",
    "export official.pth.tar --no-temporal-shift --num-segments 4 --size 32 -o new.onnx": "verify",
    "export online.pt --mode stream -o new.onnx": "stream",
    "prune ckpt.pt --data list.txt -o new.pt": "export",
    "prune ckpt.pt --data list.txt --holdout list.txt -o new.onnx": "build-engine",
    "quantize model.onnx --data list.txt -o new.onnx": "build-engine",
    "quantize model.onnx --data list.txt -o new.onnx --activations int8": "inspect",
    "build-engine model.onnx": "classify",
    "build-engine stream.onnx -o new.onnx": "stream",
    "verify model.onnx --checkpoint ckpt.pt --random 1 --rounds 1": "classify",
    "verify model.onnx fused.onnx --checkpoint ckpt.pt --data list.txt --rounds 1": "classify",
    "verify model.onnx --checkpoint ckpt.pt --data folders.txt --template 'f {}.png' --rounds 1": (
        "classify"
    ),
    "verify stream.onnx --checkpoint online.pt --random 1 --rounds 1": "stream",
    "policies model.onnx --data list.txt": "inspect",
    "classify video.mp4 --model model.onnx": "inspect",
    "stream stream.onnx video.mp4": "inspect",
    "inspect ckpt.pt": "export",
    "inspect official.pth.tar --no-temporal-shift --num-segments 4 --size 32": "export",
    "inspect model.onnx": "classify",
    "inspect fused.onnx": "classify",
    "inspect stream.onnx": "stream",
    "inspect model.engine": "doctor",
    "card model.onnx -o new.md": "inspect",
    "doctor": "classify",
}


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    make_model: Callable[..., VideoRecognizer],
    tiny_checkpoint: Path,
    tiny_graph: Path,
    listing: Path,
) -> Path:
    """One of everything, in a folder whose name needs quotes."""
    folder = tmp_path_factory.mktemp("a user's files")
    shutil.copy(tiny_checkpoint, folder / "ckpt.pt")
    shutil.copy(tiny_graph, folder / "model.onnx")
    lower(folder / "model.onnx", folder / "fused.onnx")
    online = make_model(
        "adafuse_tsm_online_resnet18",
        size=32,
        width=0.125,
        num_segments=4,
        num_classes=3,
        gate_hidden=16,
    )
    save_checkpoint(online, folder / "online.pt")
    export(online, folder / "stream.onnx", mode="stream")
    write_official("adatsn18", folder)
    (folder / "adatsn18.pth.tar").rename(folder / "official.pth.tar")
    write_video(
        folder / "video.mp4", np.random.default_rng(0).integers(0, 255, (9, 48, 64, 3), np.uint8)
    )
    (folder / "list.txt").write_text("".join(f"video.mp4 {label}\n" for label in range(2)))
    frames = folder / "odd names"
    frames.mkdir()
    for number in range(1, 5):
        Image.new("RGB", (40, 40)).save(frames / f"f {number}.png")
    (folder / "folders.txt").write_text("odd names 4 0\n")
    (folder / "classes.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def _advice(text: str) -> list[str]:
    (line,) = re.findall(r"^Next: (.*)$", text, re.MULTILINE)
    words = shlex.split(line)
    assert words[0] == "adafuse-deploy"
    return words[1:]


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("line", "verb"),
    [slow(*case) if "official" in case[0] else case for case in CASES.items()],
    ids=CASES,
)
def test_advice_runs(
    line: str,
    verb: str,
    files: Path,
    tiny_metadata: GraphMetadata,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for old in [*files.glob("new*"), *files.glob("-new*")]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    if "model.engine" in line:
        write_engine(files / "model.engine", b"engine", tiny_metadata)
    monkeypatch.chdir(files)
    assert run_cli(*shlex.split(line)) == 0
    words = _advice(capsys.readouterr().err)
    assert words[0] == verb
    assert run_cli(*words) == 0, capsys.readouterr().err


def test_every_verb_advises_something_or_is_known_not_to() -> None:
    """Nothing follows from a benchmark or a signature, and a server's start from a package."""
    assert {line.split()[0] for line in CASES} == set(VERBS) - {
        "bench",
        "package",
        "profile",
        "sign",
    }


def test_all_that_describes_a_checkpoint_is_given_again() -> None:
    command = adafuse_deploy.get_command(click.Context(adafuse_deploy), "export")
    assert command is not None
    names = {str(option.name) for option in command.params}
    others = {"checkpoint", "output", "mode", "quiet", "verbose", "require_signature"}
    assert names - others == set(DESCRIPTION)


def test_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    advise("export", Path("-a b.pt"), "--classes", "it's.txt", "-o", Path("x.onnx"))
    assert _advice(capsys.readouterr().err) == [
        "export",
        "./-a b.pt",
        "--classes",
        "it's.txt",
        "-o",
        "x.onnx",
    ]


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.pth.tar", "m.tar"])
def test_exports_are_named_after_their_checkpoints(name: str, tmp_path: Path) -> None:
    assert graph_name(tmp_path / name) == tmp_path / "m.onnx"


def test_exports_of_read_only_folders_go_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adafuse_deploy.commands.next_step as module

    monkeypatch.setattr(module, "os", SimpleNamespace(W_OK=2, access=lambda *_: False))
    assert graph_name(tmp_path / "m.pt") == Path("m.onnx")
