"""Every parameter gets the rate and decay that the public code gives it, by a rule on its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from adafuse_deploy.models.registry import create_model
from adafuse_deploy.training.config import TrainingConfig
from adafuse_deploy.training.optimizer import clipped_together, make_optimizer, parameter_groups

CONFIG = TrainingConfig(lr=0.1, weight_decay=0.01)


def _expected(name: str) -> tuple[float, float]:
    """Factor on the rate, weight decay: ``get_optim_policies`` of the public code, by name."""
    *_, module, kind = name.split(".")
    if module == "bn":
        return 1.0, 0.0
    return (2.0, 0.0) if kind.startswith("bias") else (1.0, 0.01)


def _got(model, config):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, config)
    got = {
        names[id(parameter)]: (group["factor"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }
    assert len(got) == sum(len(group["params"]) for group in groups) == len(names)
    return got


def _model(name, **overrides):
    with torch.device("meta"):
        return create_model(name, **overrides)


@pytest.mark.parametrize(
    "model",
    [
        _model("adafuse_tsm_resnet18", width=0.125),  # whose policy networks share layers
        _model("tsn_resnet50", width=0.125, consensus="lstm"),
        _model("adafuse_tsn_bninception"),  # whose convolutions have biases
    ],
    ids=["gates", "lstm", "bninception"],
)
def test_groups_follow_the_public_code(model):
    expected = {name: _expected(name) for name, _ in model.named_parameters()}
    assert _got(model, CONFIG) == expected
    assert len(set(expected.values())) == 3


def test_policy_networks_have_a_factor_of_their_own(make_model):
    model = make_model()
    expected = {
        name: (factor * (5 if ".gate" in name else 1), decay)
        for name, (factor, decay) in (
            (name, _expected(name)) for name, _ in model.named_parameters()
        )
    }
    assert _got(model, replace(CONFIG, gate_lr=5.0)) == expected


def test_one_step_of_either_optimizer(make_model):
    """Without gradients from the loss, decay alone moves the weights, and only those it is for."""
    for kind in ("sgd", "adamw"):
        model = make_model()
        before = {name: tensor.clone() for name, tensor in model.named_parameters()}
        optimizer = make_optimizer(model, replace(CONFIG, optimizer=kind))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        for name, parameter in model.named_parameters():
            factor = 1 - 0.1 * 0.01 if _expected(name)[1] else 1.0
            torch.testing.assert_close(parameter.data, before[name] * factor)


def test_gradients_are_clipped_together_or_apart(make_model):
    model = make_model()
    (everything,) = clipped_together(model, CONFIG)
    assert len(everything) == len(list(model.parameters()))
    rest, gates = clipped_together(model, replace(CONFIG, clip_apart=True))
    gated = {id(p) for name, p in model.named_parameters() if ".gate" in name}
    assert {id(parameter) for parameter in gates} == gated
    assert len(rest) + len(gates) == len(everything)
    assert len(clipped_together(make_model("tsn_resnet18"), replace(CONFIG, clip_apart=True))) == 1
