"""ResNets with other numbers of blocks than their backbone's."""

from __future__ import annotations

from pathlib import Path

import pytest

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.checkpoint import load_model, save_checkpoint
from adafuse_deploy.models.registry import create_model


def test_a_checkpoint_keeps_its_depths(tmp_path: Path) -> None:
    model = create_model("adafuse_tsm_resnet18", depths=[1, 3, 1, 2], width=0.125, size=32)
    gates = ["1.0", "2.0", "2.1", "2.2", "3.0", "4.0", "4.1"]
    assert model.gate_names() == [f"backbone.layer{block}.gate1" for block in gates]
    save_checkpoint(model, tmp_path / "model.pt")
    assert load_model(tmp_path / "model.pt").config == model.config
    assert "resnet18 x 0.125 of 1+3+1+2 blocks" in model.config.summary


def test_the_backbones_own_depths_are_not_written_down() -> None:
    """Older versions know no such field."""
    assert "depths" not in ModelConfig().to_dict()


@pytest.mark.parametrize("depths", [(2, 2, 2), (2, 2, 2, 0), (1, 1, 1, 1, 1)])
def test_impossible_depths(depths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="of each of the four stages"):
        ModelConfig(depths=depths)
    with pytest.raises(InputError, match="use a ResNet"):
        ModelConfig(backbone="bninception", gated_stages=(3,), depths=depths)
