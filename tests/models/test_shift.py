"""Where the temporal shift stands: TSM's own networks, and AdaFuse's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.forward import ForwardPass
from adafuse_deploy.models.gate import argmax
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.registry import dense_counterpart, dense_peer, model_config

FRAMES = 3
Make = Callable[..., VideoRecognizer]


def _looks_at_neighbours(block: torch.nn.Module, channels: int) -> bool:
    """Whether a frame's result changes when the frames beside it do."""
    x = torch.randn(FRAMES, channels, 4, 4, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[[0, 2]] += 1
    with torch.no_grad():
        results = [block(frames, ForwardPass(FRAMES, argmax))[1] for frames in (x, other)]
    return not torch.equal(*results)


def _shifted_blocks(model: VideoRecognizer) -> list[list[int]]:
    """Return per stage the blocks that look at neighbouring frames."""
    stages = []
    for stage in range(1, 5):
        blocks = list(model.backbone.get_submodule(f"layer{stage}").children())
        stages.append(
            [
                index
                for index, block in enumerate(blocks)
                if _looks_at_neighbours(block, block.conv1.conv.in_channels)
            ]
        )
    return stages


@pytest.mark.parametrize(
    ("name", "step", "depths"),
    [
        ("tsn_resnet18", None, (2, 2, 2, 2)),
        ("tsm_resnet18", 1, (2, 2, 2, 2)),
        ("tsm_resnet50", 1, (3, 4, 6, 3)),
        ("tsm_resnet101", 2, (3, 4, 23, 3)),
        ("tsm_online_resnet101", 2, (3, 4, 23, 3)),
    ],
)
def test_which_blocks_of_a_dense_network_are_shifted(
    name: str, step: int | None, depths: tuple[int, ...], make_model: Make
) -> None:
    expected = [list(range(0, depth, step)) if step else [] for depth in depths]
    assert _shifted_blocks(make_model(name, width=0.125, num_classes=2)) == expected


@pytest.mark.parametrize(
    ("name", "seen"), [("tsm_resnet18", False), ("adafuse_tsm_resnet18", True)]
)
def test_only_adafuse_shifts_the_shortcut(name: str, seen: bool, make_model: Make) -> None:
    model = make_model(name, width=0.125, num_classes=2)
    block = model.backbone.get_submodule("layer2.0")
    with torch.no_grad():  # Nothing comes down the residual path.
        block.conv2.bn.weight.zero_()
        block.conv2.bn.bias.zero_()
    assert _looks_at_neighbours(block, block.conv1.conv.in_channels) == seen


def test_a_configuration_without_the_placement_means_what_it_meant() -> None:
    old = model_config("tsm_resnet101").to_dict()
    del old["shift_place"], old["shift_every"]
    config = ModelConfig.from_dict(old)
    assert (config.shift_place, config.shift_every) == ("convolutions", 1)


def test_the_dense_peer_is_what_its_authors_built() -> None:
    config = model_config("adafuse_tsm_resnet101", num_segments=4)
    assert dense_peer(config) == model_config("tsm_resnet101", num_segments=4, **_policies(config))
    assert dense_counterpart(config).shift_place == "convolutions"
    config = model_config("adafuse_tsn_resnet50")
    assert dense_peer(config) == dense_counterpart(config)


def _policies(config: ModelConfig) -> dict[str, Any]:
    """Fields that say nothing of a dense network."""
    return {name: getattr(config, name) for name in ("gate_hidden", "gate_quota", "shared_policy")}


@pytest.mark.parametrize(
    "wrong", [{"shift_place": "blockres"}, {"shift_div": 1}, {"shift_every": 0}]
)
def test_impossible_placements_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="shift_"):
        ModelConfig(temporal_shift="bidirectional", **wrong)
