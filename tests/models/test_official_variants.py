"""Networks of the public code's other options against what that code computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from adafuse_deploy.core.cost import official_gflops
from adafuse_deploy.models.official import load_official
from tests.golden import (
    FOLDER,
    VARIANTS,
    WITH_ARGUMENTS,
    golden_clip,
    load,
    official_policies,
    spec,
    write_official,
)

FIELDS = {
    "adatsn18noskip": {"gate_actions": ("keep", "reuse")},
    "adatsn18nogrelu": {"gate_relu": False},
    "adatsn18max": {"gate_pooling": "max"},
    "adatsm18div4": {"temporal_shift": "bidirectional", "shift_div": 4},
    "adatsn18single": {"gate_layers": 1},
    "adatsn18triple": {"gate_layers": 3, "gate_hidden": 32},
    "adatsn18relative": {"gate_ratio": 0.3},
    "adatsn18nohistory": {"gate_actions": ("keep", "skip")},
    "adatsn18densenohist": {"gate_actions": ("keep", "skip"), "dense_gates": True},
    "adatsn50noskip": {
        "gate_actions": ("keep", "reuse"), "shared_policy": True, "temporal_shift": "bidirectional",
        "gate_quota": 196608,
    },
    "adabninc128": {"backbone": "bninception", "gate_hidden": 128},
    "adabnincnohist": {"backbone": "bninception", "gate_actions": ("keep", "skip")},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_policies_logits_and_flops_equal_the_public_code(name: str, tmp_path: Path) -> None:
    """Every gate decides as that code's under the same decisions before it; so do the logits."""
    model = load(name, tmp_path)
    found = {field: getattr(model.config, field) for field in FIELDS[name]}
    assert found == FIELDS[name]
    golden = np.load(FOLDER / f"{name}.npz")
    clip = golden_clip(VARIANTS[name])
    policies = official_policies(name, model)
    if name in WITH_ARGUMENTS:
        prediction = model.predict(clip)
        for ours, theirs in zip(prediction.policies, policies, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    else:
        prediction, flips, close = _under_the_same_decisions(model, clip, policies)
        assert flips <= close <= 2  # only ties of float32 may fall otherwise
    for field in ("logits", "frame_logits"):
        reference = golden[field]
        error = np.abs(getattr(prediction, field) - reference).max()
        assert error <= 1e-5 * np.sqrt(np.mean(reference**2)), field

    figures = spec(name)["gflops"]
    figures = figures.get("224", figures)
    upper, real = np.array(figures["per_clip_upperbound_real"]).T
    layers = model.layers(224)
    keep = [np.zeros_like(policy) for policy in policies]
    base = figures["base" if "base" in figures else "base_model_gflops"]
    np.testing.assert_allclose(official_gflops(layers, keep), base, rtol=1e-6)
    np.testing.assert_allclose(official_gflops(layers, policies), real, rtol=1e-5)
    np.testing.assert_allclose(
        official_gflops(layers, policies, upper_bound=True), upper, rtol=1e-5
    )


def _under_the_same_decisions(model, clip, policies):  # type: ignore[no-untyped-def]
    """Return the prediction under ``policies``, how many decisions differ, and how many are close.

    Close is a gap to the next action below 3e-6 of the root mean square of the gate's logits, but
    for the exact ties behind a ReLU, which are no matter of rounding.
    """
    counts = [0, 0]
    given = iter(policies)
    networks = iter([m for n, m in model.named_modules() if n in model.gate_names()])

    def decide(logits: Tensor) -> Tensor:
        theirs = torch.from_numpy(next(given))
        ours = next(networks).policy(logits.argmax(-1).to(torch.int32))
        best = logits.topk(2, -1).values
        gap = (best[..., 0] - best[..., 1]) / logits.square().mean().sqrt()
        counts[0] += int((ours != theirs).sum())
        counts[1] += int(((gap < 3e-6) & (best[..., 0] != 0)).sum())
        return theirs

    prediction = model.predict(clip, decide)
    return prediction, *counts


def test_the_paper_s_bninception_has_its_parameters_and_flops(tmp_path: Path) -> None:
    model = load("adabninc128", tmp_path)
    assert sum(p.numel() for p in model.parameters()) == round(
        spec("adabninc128")["gflops"]["params"] * 1e6
    )


def test_hidden_sizes_are_inferred_from_shapes_alone(tmp_path: Path) -> None:
    path = write_official("adatsn18relative", tmp_path)
    config = load_official(path, temporal_shift=False, size=112).config
    assert [config.hidden_units(c) for c in (64, 128, 256, 512)] == [19, 38, 76, 153]
