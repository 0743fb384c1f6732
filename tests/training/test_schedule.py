"""Schedules at the points that define them."""

from __future__ import annotations

import pytest
import torch

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.training.config import TrainingConfig
from adafuse_deploy.training.schedule import (
    flops_weight,
    is_candidate,
    learning_rate,
    straight_through_policies,
    temperature,
)


def test_step_schedule_of_the_paper():
    config = TrainingConfig(lr=0.02, lr_steps=(20, 40))
    rates = [learning_rate(config, epoch) for epoch in (0, 19.99, 20, 39.99, 40, 49)]
    assert rates == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002])


def test_cosine_schedule_and_warm_up():
    config = TrainingConfig(epochs=10, lr=1.0, lr_schedule="cosine", warmup_epochs=2)
    assert 0 < learning_rate(config, 0) < 0.01
    assert learning_rate(config, 1) == pytest.approx(0.5, abs=0.01)
    assert learning_rate(config, 5) == pytest.approx(0.5)
    assert learning_rate(config, 10) == pytest.approx(0)


def test_temperature_and_flops_weight():
    config = TrainingConfig(temperature_decay=0.5, flops_weight=2.0, flops_warmup_epochs=4)
    assert [temperature(config, epoch) for epoch in (0, 0.9, 2)] == pytest.approx(
        [0.67, 0.67, 0.67 / 4]
    )
    assert [flops_weight(config, epoch) for epoch in (0, 1, 4, 9)] == [0, 0.5, 2, 2]


def test_policies_are_sampled_and_at_the_end_argmax():
    config = TrainingConfig(epochs=4, argmax_epochs=1)
    logits = torch.tensor([0.2, 0.1, 0.0]).expand(1, 8, 64, 3).clone().requires_grad_()
    torch.manual_seed(0)
    sampled = straight_through_policies(config, 2.9)(logits)
    final = straight_through_policies(config, 3.0)(logits)
    for policy in (sampled, final):
        assert set(policy.detach().round(decimals=5).flatten().tolist()) == {0.0, 1.0}
    assert sampled[..., 0].mean() < 0.6
    assert final[..., 0].detach().allclose(torch.ones(()))
    (gradient,) = torch.autograd.grad(final[..., 0].sum(), logits)
    assert (gradient[..., 0] > 0).all() and (gradient[..., 1:] < 0).all()


def test_candidates_trained_the_final_objective():
    config = TrainingConfig(epochs=10, flops_warmup_epochs=3, argmax_epochs=2)
    assert [epoch for epoch in range(10) if is_candidate(config, epoch)] == [8, 9]
    config = TrainingConfig(epochs=5, flops_warmup_epochs=3)
    assert [epoch for epoch in range(5) if is_candidate(config, epoch)] == [3, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"estimator": "magic"}, "gumbel, reinforce"),
        ({"lr": 0}, "lr must be above zero"),
        ({"learning_rate": 1}, "Unknown training settings learning_rate"),
    ],
)
def test_impossible_settings(values, message):
    with pytest.raises(InputError, match=message):
        TrainingConfig.from_dict(values)
