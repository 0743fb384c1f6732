"""Channels that no frame needs leave a network, and it decides as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from adafuse_deploy.models.gate import PolicyNetwork
from adafuse_deploy.models.pruning import ChannelUse, GatePruning, prune
from adafuse_deploy.models.recognizer import VideoRecognizer
from tests.support import slow

Make = Callable[..., VideoRecognizer]
TINY = {"size": 32, "width": 0.125, "num_segments": 3, "num_classes": 3, "gate_hidden": 6}


def always(model: VideoRecognizer, gate: str, actions: dict[int, int]) -> None:
    """Let the gate take one action for some channels, whatever it sees."""
    network = model.backbone.get_submodule(gate)
    assert isinstance(network, PolicyNetwork)
    last = network.layers()[-1][0]
    for channel, action in actions.items():
        first = channel * len(network.actions)
        with torch.no_grad():
            last.weight[first : first + len(network.actions)] = 0
            for index, name in enumerate(network.actions):
                last.bias[first + index] = 9.0 * (name == action)


def clips(count: int = 3, seed: int = 0) -> np.ndarray:
    shape = (count, TINY["num_segments"], 3, TINY["size"], TINY["size"])
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def use_of(model: VideoRecognizer, frames: np.ndarray) -> ChannelUse:
    use = ChannelUse(model)
    use.add(frames[:2])
    use.add(frames[2:])
    return use


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adafuse_tsm_resnet18", {}),
        ("adafuse_tsm_resnet50", {"dense_gates": True}),
        slow("adafuse_tsm_resnet18", {"dense_gates": True}),
        slow("adafuse_tsn_resnet50", {"gate_actions": ("keep", "skip"), "gate_layers": 1}),
        slow("adafuse_tsm_resnet50", {"gate_layers": 3, "gate_norm": False, "dense_gates": True}),
        slow("adafuse_tsm_online_resnet18", {"consensus": "lstm", "lstm_hidden": 8}),
    ],
)
def test_other_decisions_and_answers_stay(
    name: str, options: dict[str, Any], make_model: Make, tmp_path: Path
) -> None:
    """Against the whole network on the same clips, after a round through a file."""
    model = make_model(name, **{"gate_quota": 0, "shared_policy": False, **TINY, **options})
    always(model, "layer1.0.gate1", {1: SKIP, 2: SKIP, 5: SKIP})
    always(model, "layer3.0.gate1", dict.fromkeys(range(32), KEEP) | {3: SKIP, 30: SKIP})
    frames = clips()
    use = use_of(model, frames)
    plan = use.plan()
    pruned = prune(model, plan)
    save_checkpoint(pruned, tmp_path / "pruned.safetensors")
    pruned = load_model(tmp_path / "pruned.safetensors")

    assert not plan["layer1.0.gate1"].left[[1, 2, 5]].any()
    assert plan["layer3.0.gate1"].plain
    assert "backbone.layer3.0.gate1" not in pruned.gate_names()
    for gate, what in plan.items():
        conv = pruned.backbone.get_submodule(gate.replace("gate", "conv")).conv
        assert conv.out_channels == what.left.sum()
    before, after = model.predict(frames), pruned.predict(frames)
    left = [(g, w) for g, w in plan.items()]
    policies = iter(after.policies)
    for (_, what), policy in zip(left, before.policies, strict=True):
        if not what.plain:
            np.testing.assert_array_equal(policy[:, :, what.left], next(policies))
    assert next(policies, None) is None
    for ours, theirs in ((after.logits, before.logits), (after.frame_logits, before.frame_logits)):
        assert np.abs(ours - theirs).max() < 1e-5 * np.sqrt((theirs**2).mean())
    assert (after.macs < before.macs).all()
    # Pruned again, nothing goes.
    again = use_of(pruned, frames).plan()
    assert all(what.left.all() for what in again.values())


def test_what_counts_as_needed(make_model: Make) -> None:
    """Reuse counts where there was something to reuse; what is computed and zero does not."""
    model = make_model("adafuse_tsm_resnet18", gate_quota=0, shared_policy=False, **TINY)
    always(model, "layer1.0.gate1", {0: SKIP, 1: REUSE, 2: KEEP, 3: KEEP, 4: REUSE})
    norm = model.backbone.layer1[0].conv1.bn
    with torch.no_grad():
        norm.bias[:] = 50  # behind ReLU something is left everywhere
        norm.bias[3:5] = -50  # and of these nothing
    use = use_of(model, clips(3))
    assert use.frames == 9
    needed = use.needed["layer1.0.gate1"]
    assert needed[:5].tolist() == [0, 6, 9, 0, 0]  # a clip's first frame has none before it
    assert use.kept["layer1.0.gate1"][:4].tolist() == [0, 0, 9, 9]
    assert use.plan()["layer1.0.gate1"].left[:5].tolist() == [False, True, True, False, False]
    tolerant = use.plan(6 / 9)["layer1.0.gate1"]
    assert tolerant.left[:3].tolist() == [False, False, True]


def test_a_gate_keeps_a_channel_at_least(make_model: Make) -> None:
    model = make_model("adafuse_tsm_resnet18", gate_quota=0, shared_policy=False, **TINY)
    always(model, "layer2.0.gate1", dict.fromkeys(range(16), SKIP))
    frames = clips()
    plan = use_of(model, frames).plan()
    assert plan["layer2.0.gate1"].left.tolist() == [True] + 15 * [False]
    assert not plan["layer2.0.gate1"].plain
    before, after = model.predict(frames), prune(model, plan).predict(frames)
    np.testing.assert_allclose(after.logits, before.logits, rtol=1e-4, atol=1e-5)


def test_shared_policy_networks_part(make_model: Make) -> None:
    """Of one layer that two gates share, each keeps its own channels' rows."""
    model = make_model("adafuse_tsn_resnet18", gate_quota=4096, gate_hidden=0, shared_policy=True,
        **{key: value for key, value in TINY.items() if key != "gate_hidden"},
    )  # fmt: skip
    assert model.backbone.layer1[0].gate1.fc1 is model.backbone.layer1[1].gate1.fc1
    plan = {
        name.removeprefix("backbone."): GatePruning(np.ones(network.channels, bool))
        for name, network in model.named_modules()
        if isinstance(network, PolicyNetwork)
    }
    plan["layer1.0.gate1"].left[2] = False
    pruned = prune(model, plan)
    frames = clips()
    whole, less = model.predict(frames).policies, pruned.predict(frames).policies
    np.testing.assert_array_equal(less[0], np.delete(whole[0], 2, 2))
    assert less[1].shape == whole[1].shape
    assert pruned.backbone.layer1[0].gate1.fc0.out_features == 4096 // 8  # as it was


def test_what_cannot_be_pruned(make_model: Make) -> None:
    dense = make_model("tsn_resnet18", size=32, width=0.125)
    with pytest.raises(InputError, match="no gates"):
        ChannelUse(dense)
    inception = make_model("adafuse_tsn_bninception", num_segments=2, num_classes=2, gate_hidden=4)
    with pytest.raises(InputError, match="cannot be pruned"):
        ChannelUse(inception)
    for wrong in (
        {"backbone": "bninception", "gated_stages": (3,), "plain_gates": ("layer1.0.gate1",)},
        {"gate_channels": {"layer1.0.gate1": 0}},
        {"gate_channels": {"layer1.0.gate1": 4}, "shared_policy": True},
    ):
        with pytest.raises(InputError):
            ModelConfig(**wrong)


def test_configurations_without_pruning_say_nothing_of_it() -> None:
    """Older versions know no such fields."""
    assert not {"gate_channels", "plain_gates"} & set(ModelConfig().to_dict())
