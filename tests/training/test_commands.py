"""``train`` and ``evaluate`` as a user types them, on small sets in the formats users have."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from adafuse_deploy.core.actions import ACTION_NAMES
from adafuse_deploy.core.frame_spacing import FrameSpacing
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint
from tests.support import run_cli

RECIPE = """
model: {name: adafuse_tsm_resnet18, size: 32, width: 0.125, num_segments: 4, gate_hidden: 8,
        gate_quota: 0, shared_policy: false}
data: {scales: [1.0], train_clips: 12, val_clips: 12, drawn_size: 36, drawn_frames: 4}
training: {epochs: 1, batch_size: 6, flops_weight: 0.1, device: cpu}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lists, classes, frames and a recipe."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    lines = []
    for video in range(12):
        (folder / f"v{video}").mkdir()
        for frame in range(1, 6):
            pixels = rng.integers(0, 255, (36, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"v{video}" / f"{frame:05d}.jpg")
        lines.append(f"v{video} 5 {video % 3}")
    (folder / "list.txt").write_text("\n".join(lines))
    (folder / "classes.txt").write_text("wave\nnod\npoint\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder):
    """What ``train`` makes from the lists."""
    out = folder / "ckpt.pt"
    words = ("train", "--recipe", folder / "recipe.yaml", *_lists(folder), "--source-rate", 10)
    assert run_cli(*words, "-o", out) == 0
    return out


def _lists(folder):
    both = ("--data", folder / "list.txt", "--val", folder / "list.txt")
    return (*both, "--classes", folder / "classes.txt")


def test_train_from_lists(checkpoint):
    model = load_model(checkpoint)
    assert model.config.class_names == ("wave", "nod", "point")
    assert model.config.num_segments == 4
    assert model.config.frame_spacing == FrameSpacing.constant(5 / 10 / 4)
    content = read_checkpoint(checkpoint)
    assert content["command"].startswith("adafuse-deploy ")
    assert content["seed"] == 0
    assert checkpoint.with_suffix(".csv").read_text().startswith("epoch,")


def test_train_says_what_it_made_and_what_is_next(folder, tmp_path, capsys):
    out = tmp_path / "dense.pt"
    recipe = folder / "recipe.yaml"
    code = run_cli("train", "--recipe", recipe, "--synthetic", "--model", "tsm_resnet18", "-o", out)
    assert code == 0
    printed = capsys.readouterr()
    assert f"Wrote {out}" in printed.out
    assert f"Next: adafuse-deploy export {out} -o {tmp_path / 'dense.onnx'}" in printed.err
    assert "epoch 1/1" in printed.err
    again = tmp_path / "gated.pt"
    code = run_cli(
        "train", "--recipe", recipe, "--synthetic", "--init", out, "-o", again, "--seed", "5"
    )
    assert code == 0
    assert "Initialised" in capsys.readouterr().err
    assert read_checkpoint(again)["training"]["seed"] == 5
    assert len(load_model(again).config.class_names) == 12


def test_a_model_alone_takes_the_published_settings(folder, tmp_path, capsys):
    out = tmp_path / "ckpt.pt"
    small = ("--size", 32, "--width", 0.125, "--num-segments", 4, "--epochs", 1, "--batch-size", 6)
    model = ("--model", "adafuse_tsm_last_resnet18", "--workers", 0, *small)
    assert run_cli("train", *_lists(folder), *model, "-o", out) == 0
    assert "learning rate 0.02" in capsys.readouterr().err
    training = read_checkpoint(out)["training"]
    published = {"lr": 0.02, "flops_loss": "upb", "flops_weight": 0.125, "flops_unit": "gmacs"}
    assert published.items() <= training.items()
    again = ("--flops-weight", 0.5, "--lr", 0.1, "-o", tmp_path / "again.pt")
    assert run_cli("train", *_lists(folder), *model, *again) == 0
    training = read_checkpoint(tmp_path / "again.pt")["training"]
    assert (training["lr"], training["flops_weight"], training["flops_unit"]) == (0.1, 0.5, "dense")


def test_train_and_evaluate_on_a_public_data_set(folder, tmp_path):
    listed = (folder / "list.txt").read_text()
    for name in ("train_split.txt", "validation_split.txt"):
        (tmp_path / name).write_text(listed)
    names = [f"{label},Gesture {label}" for label in range(27)]
    (tmp_path / "classInd.txt").write_text("\n".join(names))
    where = ("--dataset", "jester", "--lists", tmp_path, "--frames", folder)
    out = tmp_path / "jester.pt"
    assert run_cli("train", "--recipe", folder / "recipe.yaml", *where, "-o", out) == 0
    assert load_model(out).config.class_names[26] == "Gesture 26"
    assert run_cli("evaluate", out, *where) == 0


def test_evaluate(checkpoint, folder, tmp_path, capsys):
    figures = tmp_path / "figures.json"
    data = ("--data", folder / "list.txt")
    assert run_cli("evaluate", checkpoint, *data, "--json", figures) == 0
    printed = capsys.readouterr().out
    assert "argmax policies" in printed and "layer4.1.gate1" in printed
    values = json.loads(figures.read_text())
    recorded = read_checkpoint(checkpoint)["evaluation"]
    assert values["top1"] == recorded["top1"]
    shares = [{name: gate[name] for name in ("name", *ACTION_NAMES)} for gate in values["gates"]]
    assert shares == recorded["gates"]
    assert run_cli("evaluate", checkpoint, *data, "--sampled", "--seed", 1) == 0
    assert "sampled policies" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "-o", "{}/x.pt"], "nothing to train on"),
        (["train", "-o", "{}/x.pt", "--data", "{}/list.txt"], "--data needs --val"),
        (
            ["train", "-o", "{}/x.pt", "--data", "{}/list.txt", "--synthetic"],
            "not several",
        ),
        (["train", "-o", "{}/x.pt", "--dataset", "jester"], "--lists"),
        (["train", "-o", "{}/x.pt", "--dataset", "ucf101"], "no data set 'ucf101'"),
        (["train", "-o", "{}/x.pt", "--synthetic", "--model", "vgg"], "no model 'vgg'"),
        (["evaluate", "{}/none.pt", "--data", "{}/list.txt"], "no checkpoint"),
        (["evaluate", "{}/ckpt.pt"], "exactly one of"),
        (["evaluate", "{}/ckpt.pt", "--data", "{}/missing.txt"], "missing.txt"),
        (["evaluate", "{}/ckpt.pt", "--dataset", "ucf101"], "no data set 'ucf101'"),
        (
            ["evaluate", "{}/ckpt.pt", "--dataset", "jester", "--lists", "a", "--frames", "b"],
            "knows 3 classes but jester has 27",
        ),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, checkpoint, folder, capsys):
    assert run_cli(*(argument.format(folder) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and message in error
    assert not (folder / "x.pt").exists()


def test_outputs_and_options_are_looked_at_before_the_lists(folder, checkpoint, capsys, tmp_path):
    """The lists are missing too, but what a run would fail on at its end comes first."""
    lists = ("--data", "none.txt", "--val", "none.txt")
    recipe = ("--recipe", folder / "recipe.yaml")
    for output, options, message in (
        (tmp_path / "nodir" / "x.pt", (), "nodir"),
        (checkpoint, (), "(--resume)"),
        (tmp_path / "x.pt", ("--device", "warp"), "the device 'warp'"),
        (tmp_path / "x.pt", ("--resume", "--overwrite"), "give one"),
    ):
        assert run_cli("train", *recipe, *lists, *options, "-o", output) != 0
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_or_is_replaced(folder, tmp_path, capsys):
    out = tmp_path / "ckpt.pt"
    arguments = ("train", "--recipe", folder / "recipe.yaml", *_lists(folder), "-o", out)
    assert run_cli(*arguments, "--resume") == 0  # there is nothing to resume yet
    assert "not known and not recorded: give --source-rate" in capsys.readouterr().err
    first = out.read_bytes()
    assert run_cli(*arguments) == 1
    assert out.read_bytes() == first
    known = ("--source-rate", 10)  # now one knows, and the run is no other
    assert run_cli(*arguments, *known, "--resume", "--epochs", 2) == 0
    assert "Going on after epoch 1 to epoch 2 instead of 1" in capsys.readouterr().err
    log = out.with_suffix(".csv")
    assert len(log.read_text().splitlines()) == 3
    assert run_cli(*arguments, "--overwrite") == 0
    assert len(log.read_text().splitlines()) == 2


def test_all_missing_folders_are_listed_at_once(folder, tmp_path, capsys):
    bad = tmp_path / "bad.txt"
    bad.write_text("v0 5 0\ngone1 5 0\ngone2 5 1\n")
    code = run_cli("train", "--data", bad, "--val", bad, "--root", folder, "-o", tmp_path / "x.pt")
    assert code == 1
    error = capsys.readouterr().err
    assert "gone1" in error and "gone2" in error


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_help_needs_no_torch(verb):
    script = (
        "import sys\n"
        "from adafuse_deploy.cli import main\n"
        f"sys.argv = ['adafuse-deploy', '{verb}', '--help']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout


def test_two_processes_train_one_network(folder, tmp_path):
    """Under torchrun the result is one checkpoint, and evaluation covers every clip once."""
    out = tmp_path / "both.pt"
    arguments = ["train", "--recipe", folder / "recipe.yaml", *_lists(folder), "-o", out]
    launcher = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
    done = subprocess.run(
        [*launcher.split(), "-m", "adafuse_deploy.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/1") == 1  # process 0 reports
    content = read_checkpoint(out)
    assert content["evaluation"]["clips"] == 12
    load_model(out)
