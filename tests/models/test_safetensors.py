"""Checkpoints as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from adafuse_deploy.assets import SHIPPED_STREAM
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import load_model, read_checkpoint, save_checkpoint
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import run_cli


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped checkpoint as safetensors."""
    path = tmp_path_factory.mktemp("safetensors") / "ckpt.safetensors"
    assert run_cli("convert", SHIPPED_STREAM, "-o", path) == 0
    return path


def test_everything_survives(shipped: Path, tmp_path: Path) -> None:
    """There and back, with what stands beside the weights; the same content is the same bytes."""
    first, second = read_checkpoint(SHIPPED_STREAM), read_checkpoint(shipped)
    for name, weight in first.pop("state_dict").items():
        assert torch.equal(second["state_dict"].pop(name), weight), name
    assert not second.pop("state_dict")
    assert json.dumps(second, sort_keys=True) == json.dumps(first, sort_keys=True)  # noqa: TID251
    assert run_cli("convert", shipped, "-o", tmp_path / "back.pt") == 0
    assert run_cli("convert", tmp_path / "back.pt", "-o", tmp_path / "again.safetensors") == 0
    assert (tmp_path / "again.safetensors").read_bytes() == shipped.read_bytes()
    assert load_model(shipped).config == load_model(SHIPPED_STREAM).config


def test_other_programs_read_it(shipped: Path) -> None:
    weights = load_file(shipped)
    assert [value.shape[1:] for value in weights.values()].count((3, 7, 7)) == 1  # the stem


def test_inspect_says_the_same_of_both(shipped: Path, tmp_path: Path) -> None:
    described = []
    for path in (SHIPPED_STREAM, shipped):
        assert run_cli("inspect", path, "--json", tmp_path / "report.json") == 0
        found = json.loads((tmp_path / "report.json").read_text())
        del found["file"], found["bytes"], found["sha256"]
        del found["metadata"]["checkpoint_sha256"]
        described.append(found)
    assert described[0] == described[1]
    assert run_cli("inspect", shipped, "--size", 32, "--json", tmp_path / "report.json") == 0
    smaller = json.loads((tmp_path / "report.json").read_text())
    assert smaller["gmacs_per_clip"]["dense"] < described[0]["gmacs_per_clip"]["dense"] / 2


def test_shared_and_strided_weights(
    make_model: Callable[..., VideoRecognizer], tmp_path: Path
) -> None:
    """Gates share a policy network, and weights in another layout are no whole block."""
    model = make_model(
        "adafuse_tsn_resnet18", size=32, width=0.125, num_segments=4, num_classes=3, gate_hidden=8
    )
    assert model.config.shared_policy
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    save_checkpoint(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())


def _flip_a_weight(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:300],
        lambda content: content[:-5],
        lambda content: content + b"more",
        lambda content: b"PK" + content[2:],
        lambda content: content.replace(b"network", b"netwark", 1),
        lambda content: content.replace(b'num_classes\\":12', b'num_classes\\":xx', 1),
        _flip_a_weight,
    ],
    ids=["empty", "7 bytes", "header cut", "end cut", "longer", "magic", "entry", "field", "bit"],
)
def test_damage_is_one_sentence(
    damage: Callable[[bytes], bytes],
    shipped: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "ckpt.safetensors"
    path.write_bytes(damage(shipped.read_bytes()))
    assert path.read_bytes() != shipped.read_bytes()
    assert run_cli("export", path, "-o", tmp_path / "model.onnx") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "truncated or damaged" in error and "copy it again" in error
    assert not (tmp_path / "model.onnx").exists()


def test_weights_of_other_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their names tell what they are, as in files of torch.save."""
    path = tmp_path / "other.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, path)
    with pytest.raises(InputError, match="backbone is none of"):
        load_model(path)
    assert run_cli("inspect", path) == 1
    assert run_cli("inspect", tmp_path / "none.safetensors") == 1
    assert "There is no checkpoint" in capsys.readouterr().err
