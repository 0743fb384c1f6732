"""Weights from files in the formats that people have."""

from __future__ import annotations

import re

import pytest
import torch

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import save_checkpoint
from adafuse_deploy.training.initialise import initialise


def _torchvision_names(model):
    """Name a dense ResNet's weights as torchvision does, by its own independent rule."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("consensus."):
            continue
        name = name.removeprefix("backbone.")
        name = re.sub(r"conv(\d)\.(conv|bn)\.", lambda m: f"{m[2]}{m[1]}.", name)
        name = name.replace("downsample.conv.", "downsample.0.")
        weights[name.replace("downsample.bn.", "downsample.1.")] = tensor
    return {**weights, "fc.weight": torch.zeros(1000, 64), "fc.bias": torch.zeros(1000)}


@pytest.fixture
def dense(make_model):
    """A dense network whose every tensor differs from a fresh one's."""
    model = make_model("tsm_resnet18")
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1)
    return model


def _assert_backbone_is(model, dense):
    expected, actual = dense.state_dict(), model.state_dict()
    for name, tensor in expected.items():
        if name.startswith("backbone."):
            assert torch.equal(actual[name], tensor), name


def test_imagenet_weights(make_model, dense, tmp_path):
    weights = _torchvision_names(dense)
    assert {"conv1.weight", "bn1.weight", "layer2.0.downsample.0.weight"} <= weights.keys()
    torch.save(weights, tmp_path / "resnet18.pth")
    model = make_model()
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = initialise(model, tmp_path / "resnet18.pth")
    _assert_backbone_is(model, dense)
    assert all(torch.equal(model.state_dict()[name], fresh[name]) for name in report.new)
    assert {"consensus.fc.weight", "backbone.layer1.0.gate1.fc0.weight"} <= set(report.new)
    assert set(report.unused) == {"base_model.fc.weight", "base_model.fc.bias"}
    assert "ImageNet" in str(report) and "gates" in str(report)


def test_statistics_counters_may_be_missing(make_model, dense, tmp_path):
    weights = _torchvision_names(dense)
    old = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    initialise(make_model(), tmp_path / "old.pth")


@pytest.mark.parametrize("classes", [3, 5])
def test_our_dense_checkpoint(classes, make_model, dense, tmp_path):
    save_checkpoint(dense, tmp_path / "dense.pt")
    model = make_model(num_classes=classes)
    report = initialise(model, tmp_path / "dense.pt")
    _assert_backbone_is(model, dense)
    same = classes == 3
    assert ("consensus.fc.weight" in report.loaded) == same
    assert ("consensus.fc.weight" in report.unused) != same


def test_gates_come_along_and_are_left_out(make_model, tmp_path):
    save_checkpoint(make_model(), tmp_path / "gated.pt")
    assert initialise(make_model(), tmp_path / "gated.pt").new == ()
    report = initialise(make_model("tsm_resnet18"), tmp_path / "gated.pt")
    assert report.new == () and all(".gate1." in name for name in report.unused)
    with pytest.raises(InputError, match=r"gate1\.fc0\.weight has shape"):
        initialise(make_model(gate_hidden=4), tmp_path / "gated.pt")


def test_dense_checkpoint_of_the_public_tsm_code(make_model, dense, tmp_path):
    weights = {}
    for name, tensor in _torchvision_names(dense).items():
        if not name.startswith("fc."):
            # The TSM code wraps a block's first convolution.
            name = re.sub(r"(layer\d\.\d\.conv1)\.", r"\1.net.", name)
            weights[f"module.base_model.{name}"] = tensor
    weights["module.new_fc.weight"] = torch.full((3, 64), 2.0)
    weights["module.new_fc.bias"] = torch.full((3,), 3.0)
    torch.save({"state_dict": weights}, tmp_path / "tsm.pth.tar")
    model = make_model()
    report = initialise(model, tmp_path / "tsm.pth.tar")
    _assert_backbone_is(model, dense)
    assert report.unused == ()
    assert (model.consensus.fc.weight == 2).all() and (model.consensus.fc.bias == 3).all()


def test_mismatches_are_listed(make_model, dense, tmp_path):
    weights = _torchvision_names(dense)
    del weights["layer3.1.bn2.running_mean"]
    weights["layer5.0.conv1.weight"] = torch.zeros(1)
    weights["conv1.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(weights, tmp_path / "bad.pth")
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InputError, match="3 problems") as caught:
        initialise(model, tmp_path / "bad.pth")
    for part in (
        "missing backbone.layer3.1.conv2.bn.running_mean",
        "layer5.0.conv1",
        "backbone.conv1.conv.weight has shape (64, 3, 7, 7) instead of (8, 3, 7, 7)",
    ):
        assert part in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_files_without_weights(make_model, tmp_path):
    with pytest.raises(InputError, match="There is no checkpoint"):
        initialise(make_model(), tmp_path / "missing.pth")
    torch.save({"epoch": 3}, tmp_path / "notes.pth")
    with pytest.raises(InputError, match="no state_dict"):
        initialise(make_model(), tmp_path / "notes.pth")
