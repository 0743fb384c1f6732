"""REINFORCE against the exact gradient of an expectation small enough to enumerate."""

from __future__ import annotations

import itertools

import torch

from adafuse_deploy.training.policy_gradient import SampledPolicies

CHANNELS = 2


def _cost(one_hot: torch.Tensor) -> torch.Tensor:
    """Some cost that no sum over channels can express, (N,)."""
    keep = one_hot[..., 0].flatten(1)
    return 1 + 2 * keep.prod(1) + one_hot[:, 0, 0, 1] * one_hot[:, 0, 1, 2]


def _exact_gradient(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    log_probabilities = logits.log_softmax(-1)
    expectation = torch.zeros(())
    for actions in itertools.product(range(3), repeat=CHANNELS):
        one_hot = torch.eye(3)[list(actions)][None, None]
        chosen = sum(log_probabilities[0, 0, c, a] for c, a in enumerate(actions))
        expectation = expectation + chosen.exp() * _cost(one_hot)[0]
    (gradient,) = torch.autograd.grad(expectation, logits)
    return gradient


def test_the_estimate_is_unbiased():
    torch.manual_seed(0)
    logits = torch.randn(1, 1, CHANNELS, 3, requires_grad=True)
    policies = SampledPolicies()
    costs = _cost(policies(logits.expand(200_000, -1, -1, -1)))
    (estimate,) = torch.autograd.grad(policies.loss(costs), logits)
    torch.testing.assert_close(estimate, _exact_gradient(logits.detach()), atol=0.01, rtol=0)


def test_samples_follow_the_logits():
    torch.manual_seed(0)
    logits = torch.tensor([2.0, 0.0, -1.0]).expand(1, 100, 200, 3)
    shares = SampledPolicies()(logits).mean((0, 1, 2))
    torch.testing.assert_close(shares, logits[0, 0, 0].softmax(-1), atol=0.02, rtol=0)


def test_the_baseline_leaves_the_clip_out_and_costs_get_no_gradient():
    policies = SampledPolicies()
    logits = torch.zeros(3, 1, 1, 3, requires_grad=True)
    policies(logits)
    costs = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    loss = policies.loss(costs)
    advantages = torch.tensor([1 - 4.0, 2 - 3.5, 6 - 1.5])
    expected = (advantages * torch.log(torch.tensor(1 / 3))).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert costs.grad is None


def test_reinforce_learns_the_cheapest_policy():
    torch.manual_seed(0)
    logits = torch.zeros(1, 1, 8, 3, requires_grad=True)
    optimizer = torch.optim.SGD([logits], 0.5)
    for _ in range(200):
        policies = SampledPolicies()
        one_hot = policies(logits.expand(16, -1, -1, -1))
        optimizer.zero_grad()
        policies.loss(1 - one_hot[..., 2].mean((1, 2))).backward()
        optimizer.step()
    assert logits.softmax(-1)[..., 2].mean() > 0.7
