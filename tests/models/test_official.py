"""Official checkpoints against reference outputs of the public code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adafuse_deploy.core.cost import official_gflops
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.official import load_official
from tests.golden import (
    FOLDER,
    FULL,
    OTHERS,
    compare_with_official,
    golden_clip,
    load,
    spec,
    write_official,
)
from tests.support import slow

EXPECTED = {
    "adatsn18": ("resnet18", (1, 2, 3, 4), False, False),
    "adatsn18dense": ("resnet18", (1, 2, 3, 4), True, False),
    "adatsm50": ("resnet50", (1, 2, 3, 4), False, True),
    "adatsn50": ("resnet50", (1, 2, 3, 4), False, True),
    "adatsm50last": ("resnet50", (4,), False, False),
    "adabninc": ("bninception", (3, 4, 5), False, False),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_configuration_is_inferred_from_keys(name: str, tmp_path: Path) -> None:
    config = load(name, tmp_path).config
    found = (config.backbone, config.gated_stages, config.dense_gates, config.shared_policy)
    assert found == EXPECTED[name]
    assert config.num_classes == 174


@pytest.mark.parametrize("name", FULL)
def test_policies_logits_and_flops_equal_the_reference(name: str, tmp_path: Path) -> None:
    model = load(name, tmp_path)
    size = FULL[name]
    golden = np.load(FOLDER / f"{name}.npz")
    clip = golden_clip(size)
    prediction = model.predict(clip)
    for gate, policy in enumerate(prediction.policies):
        reference = np.stack([golden[f"policy_{gate:02d}"], golden[f"policy_clip1_{gate:02d}"]])
        np.testing.assert_array_equal(2 - policy, reference)  # official order: skip, reuse, keep
    for ours, theirs in (("logits", "logits"), ("frame_logits", "frame_logits")):
        reference = golden[theirs]
        error = np.abs(getattr(prediction, ours) - reference).max()
        assert error <= 1e-5 * np.sqrt(np.mean(reference**2))

    for resolution, figures in spec(name)["gflops"].items():
        layers = model.layers(int(resolution))
        upper, real = np.array(figures["per_clip_upperbound_real"]).T
        np.testing.assert_allclose(official_gflops(layers, prediction.policies), real, rtol=1e-5)
        np.testing.assert_allclose(
            official_gflops(layers, prediction.policies, upper_bound=True), upper, rtol=1e-5
        )
        right = official_gflops(layers, prediction.policies, official_last_frame=False)
        expected = figures["info_real_gflops_if_last_frame_used_its_own_mask"]
        assert right.mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "name", [name if name in ("adatsn18dense", "adabninc") else slow(name) for name in OTHERS]
)
def test_the_other_configurations_equal_the_public_code(name: str, tmp_path: Path) -> None:
    model = load(name, tmp_path)
    prediction = model.predict(golden_clip(224))
    comparison = compare_with_official(name, model, prediction)
    assert comparison.unexcused == 0
    assert comparison.frame_logits.relative <= 1e-5

    layers = model.layers()
    keep = [np.zeros_like(policy) for policy in prediction.policies]
    base = official_gflops(layers, keep).mean()
    upper, real = np.load(FOLDER / f"{name}.npz")["saved_gflops"]
    found = official_gflops(layers, prediction.policies).mean()
    assert base - found == pytest.approx(real, rel=1e-5 if not comparison.flips else 1e-2)
    found = official_gflops(layers, prediction.policies, upper_bound=True).mean()
    assert base - found == pytest.approx(upper, rel=1e-5 if not comparison.flips else 1e-2)


def test_missing_surplus_and_misshapen_keys_are_all_listed(tmp_path: Path) -> None:
    path = write_official("adatsn18", tmp_path)
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    del state["module.base_model.layer3.1.bn2.bias"]
    state["module.base_model.extra.weight"] = torch.zeros(3)
    state["module.base_model.conv1.weight"] = torch.zeros(64, 3, 5, 5)
    torch.save(content, path)
    with pytest.raises(InputError) as error:
        load_official(path, size=112)
    for part in (
        "missing backbone.layer3.1.conv2.bn.bias",
        "surplus base_model.extra.weight",
        "backbone.conv1.conv.weight has shape (64, 3, 5, 5)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("module.new_fc.weight"), "no classifier"),
        (lambda s: [s.pop(k) for k in list(s) if ".layer4.1." in k], "backbone is none of"),
        (
            lambda s: [s.pop(k) for k in list(s) if ".layer4.1.policy_net." in k],
            "gates only a part of some stages",
        ),
    ],
)
def test_foreign_networks_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    path = write_official("adatsn18", tmp_path)
    content = torch.load(path, weights_only=True)
    change(content["state_dict"])
    torch.save(content, path)
    with pytest.raises(InputError, match=message):
        load_official(path, size=112)


def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="holds no state_dict"):
        load_official(tmp_path / "other.pt")
