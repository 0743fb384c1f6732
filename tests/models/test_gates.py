"""Policy networks of every kind: what they decide, in PyTorch, as graphs and as streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.cost import clip_macs
from adafuse_deploy.engines.loader import load_engine
from adafuse_deploy.exporters.onnx_exporter import export
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from adafuse_deploy.models.gate import PolicyNetwork, PolicyNetworks, fixed, gumbel
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import assert_same

Make = Callable[..., VideoRecognizer]

SMALL: dict[str, Any] = {
    "size": 32, "width": 0.125, "num_segments": 4, "num_classes": 5, "gate_hidden": 16,
    "gated_stages": (2, 4), "shared_policy": False, "gate_quota": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "keep or reuse": {"gate_actions": ("keep", "reuse")},
    "keep or skip": {"gate_actions": ("keep", "skip"), "dense_gates": True},
    "one layer": {"gate_layers": 1},
    "one layer, keep or skip": {"gate_layers": 1, "gate_actions": ("skip", "keep")},
    "three layers": {"gate_layers": 3},
    "half as many hidden units": {"gate_ratio": 0.5},
    "no ReLU": {"gate_relu": False},
    "no normalisation": {"gate_norm": False},
    "maximum": {"gate_pooling": "max"},
}
CODES = {"keep": KEEP, "reuse": REUSE, "skip": SKIP}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, make_model: Make) -> VideoRecognizer:
    system = "tsm_online" if "layer" in request.param else "tsn"
    return make_model(f"adafuse_{system}_resnet18", **{**SMALL, **KINDS[request.param]})


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 4, 3, 32, 32), np.float32)


def test_one_network_as_the_public_code_writes_it() -> None:
    """Linear layers, normalisation and ReLU one after the other, for every combination."""
    generator = torch.Generator().manual_seed(0)
    for layers in (1, 2, 3):
        for relu in (False, True):
            config = ModelConfig(gate_hidden=7, gate_layers=layers, gate_relu=relu)
            network = PolicyNetworks(config).make(5, 4).eval()
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, 0, 1, generator)
            x = torch.randn(6, 10, generator=generator)
            expected = F.linear(x, network.fc0.weight, network.fc0.bias)
            expected = F.batch_norm(
                expected, torch.zeros(len(expected.T)), torch.ones(len(expected.T)),
                network.bn.weight, network.bn.bias,
            )  # fmt: skip
            expected = expected.relu() if relu else expected
            if layers == 3:
                expected = network.bn1(network.fc1(expected))
                expected = expected.relu() if relu else expected
            if layers > 1:
                last = network.fc2 if layers == 3 else network.fc1
                expected = last(expected)
            torch.testing.assert_close(network(x, 3), expected.reshape(2, 3, 4, 3))
            logits = network(x, 3)
            network.fold()
            torch.testing.assert_close(network(x, 3), logits, rtol=1e-4, atol=1e-5)


def test_the_hidden_size_follows_the_ratio() -> None:
    config = ModelConfig(gate_ratio=0.3)
    for channels, hidden in ((64, 19), (128, 38), (256, 76), (512, 153)):
        assert PolicyNetworks(config).make(5, channels).fc0.out_features == hidden


def test_equal_logits_behind_a_relu_take_the_cheapest_action() -> None:
    for actions, code in ((("keep", "reuse", "skip"), SKIP), (("keep", "reuse"), REUSE)):
        network = PolicyNetworks(ModelConfig(gate_layers=1, gate_actions=actions)).make(5, 4)
        choice = torch.zeros(1, 2, 4, len(actions)).argmax(-1).to(torch.int32)
        assert (network.policy(choice) == code).all()


def test_gates_choose_among_their_own_actions_only(
    model: VideoRecognizer, clips: np.ndarray
) -> None:
    codes = {CODES[action] for action in model.config.gate_actions}
    prediction = model.predict(clips)
    assert len(prediction.policies) == len(model.gate_names()) >= 4
    for policy in prediction.policies:
        assert set(np.unique(policy)) == codes
    assert (clip_macs(model.layers(), prediction.policies, 4) == prediction.macs).all()


def test_soft_decisions_forced_ones_and_folded_networks_agree(
    model: VideoRecognizer, clips: np.ndarray
) -> None:
    frames = torch.from_numpy(clips)
    with torch.no_grad():
        torch.manual_seed(0)
        soft = model(frames, gumbel(0.67))
        hard = [weights.argmax(-1) for weights in soft.policies]
        output = model(frames, fixed(hard))
        folded = model.deployed()(frames, fixed(hard))
    for forced, policy in zip(output.policies, hard, strict=True):
        assert forced.dtype == torch.int32 and torch.equal(forced, policy.to(torch.int32))
    torch.testing.assert_close(soft.logits, output.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded.logits, output.logits, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_layer_of_a_policy_network(
    model: VideoRecognizer, clips: np.ndarray
) -> None:
    model(torch.from_numpy(clips), gumbel(0.67)).logits.square().sum().backward()
    for module in model.modules():
        if isinstance(module, PolicyNetwork):
            for linear, _, _ in module.layers():
                assert linear.weight.grad is not None and linear.weight.grad.abs().sum() > 0
    model.zero_grad()


def test_a_stream_gives_what_a_clip_gives(model: VideoRecognizer, clips: np.ndarray) -> None:
    expected = model.predict(clips)
    history: list[torch.Tensor] | None = None
    for t in range(4):
        with torch.no_grad():
            output, history = model.step(torch.from_numpy(clips[:, t]), history)
        np.testing.assert_allclose(
            output.frame_logits[:, 0], expected.frame_logits[:, t], rtol=1e-4, atol=1e-5
        )
        for ours, policy in zip(output.policies, expected.policies, strict=True):
            np.testing.assert_array_equal(ours[:, 0], policy[:, t])
    if "reuse" not in model.config.gate_actions and model.config.temporal_shift == "none":
        assert history == []  # nothing of the previous frame is ever looked at


def test_checkpoints_keep_the_kind(model: VideoRecognizer, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "model.pt")
    assert load_model(tmp_path / "model.pt").config == model.config


@pytest.mark.slow
def test_graphs_give_what_pytorch_gives(
    model: VideoRecognizer, clips: np.ndarray, tmp_path: Path
) -> None:
    metadata = export(model, tmp_path / "model.onnx")
    assert metadata.config == model.config
    expected = model.predict(clips)
    for options in ({"operator_library": False}, {}):
        with load_engine(tmp_path / "model.onnx", threads=1, **options) as engine:
            assert_same(engine.run(clips), expected)
