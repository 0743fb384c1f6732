"""Checkpoints of TSM's code and mmaction2, and of the public AdaFuse code's dense networks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import check_finite, load_model, save_checkpoint
from adafuse_deploy.models.foreign import foreign_weights, read_foreign
from adafuse_deploy.models.official import load_official, read_official
from adafuse_deploy.models.pickles import load_pickle
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.training.initialise import initialise
from tests.golden import DENSE, FOLDER, dense_weights, golden_clip

Make = Callable[..., VideoRecognizer]
Weights = dict[str, Tensor]

PLACEMENT = {"tsm18plain": ("bidirectional", "conv1"), "tsn18plain": ("none", "convolutions")}
NAMES = {
    "tsm18plain": "a dense TSM of TSM's or AdaFuse's code",
    "tsn18plain": "a dense TSN of TSM's or AdaFuse's code",
    "tsm18mit": "a dense TSM of TSM's or AdaFuse's code",
    "tsm18mmaction2": "a dense TSM of mmaction2",
    "tsn18mmaction2": "a dense TSN of mmaction2",
}


def _save(path: Path, weights: Weights, **entries: Any) -> Path:
    torch.save({"state_dict": weights, **entries}, path)
    return path


@pytest.mark.parametrize("name", DENSE)
def test_logits_equal_the_reference(name: str, tmp_path: Path) -> None:
    path = _save(tmp_path / "dense.pth", dense_weights(name))
    assert str(read_foreign(path)) == f"{NAMES[name]} with ResNet-18, 174 classes"
    model = load_official(path, size=112)
    assert (model.config.temporal_shift, model.config.shift_place) == PLACEMENT[DENSE[name]]
    assert not model.config.gated
    prediction = model.predict(golden_clip(112))
    golden = np.load(FOLDER / f"{DENSE[name]}.npz")
    for ours in ("logits", "frame_logits"):
        reference = golden[ours]
        error = np.abs(getattr(prediction, ours) - reference).max()
        assert error <= 1e-5 * np.sqrt(np.mean(reference**2)), ours


def _tiny(make_model: Make, name: str = "tsm_resnet18") -> VideoRecognizer:
    return make_model(name, size=32, width=0.125, num_segments=4, num_classes=5)


def as_mmaction2(model: VideoRecognizer) -> Weights:
    """Name the weights of a dense network as mmaction2 1.2 does."""
    shifted = model.config.temporal_shift != "none"
    weights = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("consensus.fc", "cls_head.fc_cls")
        _, _, block, *rest = name.split(".")[:4] if ".layer" in name else ("", "", "-1")
        if shifted and rest == ["conv1"] and int(block) % model.config.shift_every == 0:
            name = name.replace("conv1.conv.", "conv1.conv.net.")
        weights[name] = tensor
    return weights


@pytest.mark.parametrize("name", ["tsn_resnet34", "tsm_resnet50", "tsm_resnet101"])
def test_every_depth_of_mmaction2(name: str, make_model: Make, tmp_path: Path) -> None:
    model = _tiny(make_model, name)
    path = _save(tmp_path / "dense.pth", as_mmaction2(model))
    again = load_official(path, num_segments=4, size=32)
    for field in ("backbone", "temporal_shift", "shift_every", "width", "num_classes"):
        assert getattr(again.config, field) == getattr(model.config, field), field
    clip = np.random.default_rng(0).standard_normal((1, 4, 3, 32, 32), np.float32)
    np.testing.assert_array_equal(again.predict(clip).logits, model.predict(clip).logits)


WRAPPED: dict[str, Callable[[Weights], Any]] = {
    "DataParallel": lambda w: {"state_dict": {f"module.{k}": t for k, t in w.items()}},
    "compiled": lambda w: {"state_dict": {f"_orig_mod.{k}": t for k, t in w.items()}},
    "nested": lambda w: {"state_dict": {f"module._orig_mod.module.{k}": t for k, t in w.items()}},
    "inside": lambda w: {k.replace("backbone.", "backbone._orig_mod."): t for k, t in w.items()},
    "a module's": lambda w: {"state_dict": {f"model.{k}": t for k, t in w.items()}},
    "bare": lambda w: w,
    "another entry": lambda w: {"model_state_dict": w, "epoch": 3},
    "an average": lambda w: {"n_averaged": torch.tensor(3), **{f"module.{k}": w[k] for k in w}},
    "averages": lambda w: {"state_dict": w, "state_dict_ema": {k: t + 1 for k, t in w.items()}},
    "averages in it": lambda w: {
        "state_dict": {**w, **{"ema_" + k.replace(".", "_"): t + 1 for k, t in w.items()}}
    },
    "training state": lambda w: {
        "state_dict": w,
        "optimizer": torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1).state_dict(),
        "best_prec1": np.float64(61.5),
        "scores": np.arange(3.0),
        "args": argparse.Namespace(arch="resnet18", root=Path("logs")),
    },
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_and_training_state_do_no_harm(
    kind: str, make_model: Make, tmp_path: Path
) -> None:
    model = _tiny(make_model)
    torch.save(WRAPPED[kind](as_mmaction2(model)), tmp_path / "wrapped.pth")
    again = load_official(tmp_path / "wrapped.pth", num_segments=4, size=32).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(again[name], tensor), name


def test_a_numpy_scalar_of_the_old_file_format(make_model: Make, tmp_path: Path) -> None:
    content = {"state_dict": as_mmaction2(_tiny(make_model)), "best_prec1": np.float32(3)}
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    load_official(tmp_path / "old.pth", num_segments=4, size=32)


class _Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_other_objects_are_refused_by_name_and_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for thing, name in ((_Harm(trace), r"posix\.mkdir"), (torch.nn.ReLU(), r"activation\.ReLU")):
        torch.save({"state_dict": {}, "extra": thing}, tmp_path / "harm.pth")
        with pytest.raises(InputError, match=name):
            load_official(tmp_path / "harm.pth")
    assert not trace.exists()


def _without(part: str) -> Callable[[Weights], Weights]:
    return lambda w: {k: t for k, t in w.items() if part not in k}


REFUSED: dict[str, tuple[Callable[[Weights], Any], str]] = {
    "another pattern": (
        lambda w: {k.replace("layer2.0.conv1.conv.net", "layer2.0.conv1.conv"): w[k] for k in w},
        "shifts some blocks only \\(7 of 8\\)",
    ),
    "shift_place block": (
        lambda w: {k.replace("layer1.0.", "layer1.0.net."): w[k] for k in w},
        "temporal shift of whole blocks",
    ),
    "temporal pooling": (
        lambda w: {k.replace("layer2.", "layer2.net."): w[k] for k in w},
        "temporal pooling",
    ),
    "non-local": (
        lambda w: {**w, "backbone.layer2.0.non_local_block.g.weight": torch.ones(2)},
        "non-local blocks",
    ),
    "3D": (lambda w: {**w, "backbone.x.weight": torch.ones(1, 1, 3, 1, 1)}, "3D convolutions"),
    "flow": (
        lambda w: {**w, "backbone.conv1.conv.weight": torch.ones(8, 10, 7, 7)},
        "reads 10 channels",
    ),
    "another depth": (_without("layer4.1."), "backbone is none of"),
    "no classifier": (_without("cls_head"), "no classifier of actions: it is a dense TSM of mm"),
    "arrays": (lambda w: {**w, "extra": np.ones(3)}, "extra is a numpy"),
    "twice": (
        lambda w: {**w, "module.cls_head.fc_cls.bias": torch.ones(5)},
        "holds cls_head.fc_cls.bias twice",
    ),
    "no weights": (lambda w: {"epoch": torch.tensor(3)}, "backbone is none of"),
    "plain values": (lambda w: {"epoch": 3}, "holds no state_dict"),
    "ours": (lambda w: {"consensus.fc.bias": torch.ones(5), **w}, "without their configuration"),
    "surplus": (
        lambda w: {**w, "backbone.se.weight": torch.ones(5)},
        r"a dense TSM of mmaction2 with ResNet-18, 5 classes, do not fit .*\(1 problems\)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_networks_are_refused_in_one_sentence(
    kind: str, make_model: Make, tmp_path: Path
) -> None:
    change, message = REFUSED[kind]
    torch.save(change(as_mmaction2(_tiny(make_model))), tmp_path / "other.pth")
    with pytest.raises(InputError, match=message):
        load_official(tmp_path / "other.pth", num_segments=4, size=32)


@pytest.mark.parametrize(("name", "said"), [("tsm_resnet18", False), ("tsn_resnet18", True)])
def test_what_names_tell_cannot_be_contradicted(
    name: str, said: bool, make_model: Make, tmp_path: Path
) -> None:
    path = _save(tmp_path / "dense.pth", as_mmaction2(_tiny(make_model, name)))
    with pytest.raises(InputError, match="temporal-shift"):
        load_official(path, num_segments=4, size=32, temporal_shift=said)
    load_official(path, num_segments=4, size=32, temporal_shift=not said)


@pytest.mark.parametrize(
    ("meta", "frames", "div"),
    [
        ({"cfg": "dict(num_segments=4, shift_div=4), cls_head=dict(num_segments=4)"}, 4, 4),
        ({"config": "{'num_segments': 16}"}, 16, None),
        ({"cfg": "num_segments=4, num_segments=8"}, None, None),
        ({}, None, None),
    ],
)
def test_what_mmaction2_keeps_beside_the_weights_is_read(
    meta: Any, frames: int | None, div: int | None, make_model: Make, tmp_path: Path
) -> None:
    path = _save(tmp_path / "dense.pth", as_mmaction2(_tiny(make_model)), meta=meta)
    found = read_official(path, size=32)
    config = found.model.config
    assert (config.num_segments, config.shift_div) == (frames or 8, div or 8)
    assert ("8 frames" in str(found)) == (frames is None)
    assert read_official(path, num_segments=2).model.config.num_segments == 2


def test_a_foreign_file_is_told_from_ours(make_model: Make, tmp_path: Path) -> None:
    path = _save(tmp_path / "dense.pth", as_mmaction2(_tiny(make_model)))
    with pytest.raises(InputError, match=r"a dense TSM of mmaction2 .*'adafuse-deploy convert'"):
        load_model(path)


def test_the_classifier_keeps_its_place_without_dropout(make_model: Make) -> None:
    weights = {
        name.replace("backbone.", "base_model.").replace("cls_head.fc_cls", "base_model.fc"): t
        for name, t in as_mmaction2(_tiny(make_model)).items()
    }
    found = foreign_weights(weights, "file")
    assert found.classes == 5 and found.shifted


def test_initialisation_says_where_the_shift_differs(make_model: Make, tmp_path: Path) -> None:
    dense = _tiny(make_model)
    path = _save(tmp_path / "dense.pth", as_mmaction2(dense))
    model = make_model("adafuse_tsm_resnet18", size=32, width=0.125, num_segments=4, num_classes=5)
    report = initialise(model, path)
    assert torch.equal(model.backbone.conv1.conv.weight, dense.backbone.conv1.conv.weight)
    assert torch.equal(model.consensus.fc.bias, dense.consensus.fc.bias)
    assert "a dense TSM of mmaction2" in report.source
    assert "before conv1 alone" in report.note and "shortcut's" in report.note
    save_checkpoint(dense, tmp_path / "ours.pt")
    assert "before conv1 alone" in initialise(model, tmp_path / "ours.pt").note
    assert initialise(_tiny(make_model), path).note == ""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["ours", "foreign", "init"])
def test_weights_that_are_no_numbers_are_named(
    kind: str, value: float, make_model: Make, tmp_path: Path
) -> None:
    model = _tiny(make_model)
    clean = _tiny(make_model)
    with torch.no_grad():
        model.backbone.get_submodule("layer3.1.conv2.bn").running_var[3] = value
        model.consensus.fc.weight[0, 0] = value
    path = _save(tmp_path / "diverged.pth", as_mmaction2(model))
    if kind == "ours":
        save_checkpoint(model, path)
    load = {
        "ours": lambda: load_model(path),
        "foreign": lambda: load_official(path, num_segments=4, size=32),
        "init": lambda: initialise(clean, path),
    }
    with pytest.raises(InputError, match=r"first in backbone\.layer3\.1\.conv2\.bn\.running_var"):
        load[kind]()
    assert torch.isfinite(clean.consensus.fc.weight).all()


def test_a_flipped_bit_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.arange(1000.0)}, path)
    content = bytearray(path.read_bytes())
    where = content.index(torch.arange(1000.0).numpy().tobytes()[400:800])
    content[where] ^= 64
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or damaged"):
        load_pickle(path)


def test_checksums_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.arange(1000.0)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load_pickle(path)["weight"], torch.arange(1000.0))


def test_negative_variances_are_named() -> None:
    with pytest.raises(InputError, match=r"negative variances, in bn\.running_var"):
        check_finite({"bn.running_var": torch.tensor([1.0, -1.0])}, "It")
