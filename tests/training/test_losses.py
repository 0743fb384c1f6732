"""The differentiable FLOPs against the integer accounting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from adafuse_deploy.core.actions import SKIP
from adafuse_deploy.core.cost import clip_macs, dense_macs, layer_macs, official_gflops
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.gate import sampled
from adafuse_deploy.training.losses import relative_flops

NAMES = ["adafuse_tsm_resnet18", "adafuse_tsm_last_resnet18"]


def _sampled_policies(model, clips):
    frames = clips(3, 5).tensors[0]
    return model.predict(frames, sampled(torch.Generator().manual_seed(1))).policies


def _one_hot(policies):
    return [F.one_hot(torch.from_numpy(policy).long(), 3).float() for policy in policies]


@pytest.mark.parametrize("dense_gates", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_real_is_the_deployed_cost_for_one_hot_policies(name, dense_gates, make_model, clips):
    model = make_model(name, dense_gates=dense_gates)
    policies = _sampled_policies(model, clips)
    expected = clip_macs(model.layers(), policies, 4) / dense_macs(model.layers(), 4)
    actual = relative_flops(model.layers(), _one_hot(policies))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)
    assert len(set(expected)) == 3  # the clips differ, so this compares something


def test_upper_bound_counts_only_skipped_inputs(make_model, clips):
    model = make_model()
    layers, policies = model.layers(), _sampled_policies(model, clips)
    expected = np.zeros(3)
    for layer in layers:
        share = np.ones(3)
        if layer.input is not None:
            share = 1 - (policies[layer.input.gate] == SKIP).mean((1, 2))
        expected += share * layer.macs * 4 / dense_macs(layers, 4)
    actual = relative_flops(layers, _one_hot(policies), "upb")
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)
    assert (actual > relative_flops(layers, _one_hot(policies))).all()


@pytest.mark.parametrize("mode", ["real", "upb"])
def test_gflops_per_frame_rise_as_in_the_public_code(mode, make_model, clips):
    """Its figure has another base, which has no gradient, and errs on the last frame."""
    model = make_model()
    layers, policies = model.layers(), _sampled_policies(model, clips)
    public = official_gflops(layers, policies, upper_bound=mode == "upb", official_last_frame=False)
    dense = sum(layer.macs for layer in layers if not layer.policy) / 1e9
    ours = relative_flops(layers, _one_hot(policies), mode).double().numpy() * dense
    np.testing.assert_allclose(np.diff(ours), np.diff(public), rtol=1e-3)
    assert (np.diff(public) != 0).all()


def test_bn_inception_branches_share_a_gate(clips):
    from adafuse_deploy.models.registry import create_model

    model = create_model("adafuse_tsn_bninception", num_classes=2, num_segments=2)
    layers = model.layers(64)
    rng = np.random.default_rng(0)
    gates = {}
    for layer in layers:
        for side in (layer.output, layer.input):
            if side is not None:
                gates[side.gate] = max(gates.get(side.gate, 0), side.stop)
    policies = [rng.integers(0, 3, (2, 2, gates[i])).astype(np.uint8) for i in range(len(gates))]
    expected = layer_macs(layers, policies, 2).sum(1) / dense_macs(layers, 2)
    actual = relative_flops(layers, _one_hot(policies))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


def test_gradient_prefers_skip_and_charges_keep(make_model):
    model = make_model()
    soft = [
        torch.full((1, 4, channels, 3), 1 / 3, requires_grad=True)
        for channels in (8, 8, 16, 16, 32, 32, 64, 64)
    ]
    relative_flops(model.layers(), soft).sum().backward()
    for policy in soft:
        keep, reuse, skip = policy.grad.mean((0, 1, 2))
        assert keep > reuse > 0 > skip


def test_a_dense_network_has_no_flops_term(make_model):
    with pytest.raises(InputError, match="without gates"):
        relative_flops(make_model("tsm_resnet18").layers(), [])
