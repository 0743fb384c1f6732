"""REINFORCE: gradients for policies that are really sampled, without any relaxation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class SampledPolicies:
    """Samples one-hot policies and remembers how likely they were.

    Use one per forward pass, as its ``decide``; then :meth:`loss` turns the clips' costs into a
    term whose gradient is the REINFORCE estimate (Williams, 1992).
    """

    def __init__(self) -> None:
        self._log_probabilities: list[Tensor] = []

    def __call__(self, logits: Tensor) -> Tensor:
        """Return a sample as constant one-hot weights (N, T, C, A) for logits of that shape."""
        log_probabilities = F.log_softmax(logits.float(), -1)
        actions = torch.distributions.Categorical(logits=log_probabilities.detach()).sample()
        chosen = log_probabilities.gather(-1, actions[..., None])
        self._log_probabilities.append(chosen.flatten(1).sum(1))
        return F.one_hot(actions, logits.shape[-1]).to(logits.dtype)

    def loss(self, costs: Tensor) -> Tensor:
        """Return a scalar whose gradient is an unbiased estimate of that of the mean cost.

        The baseline of a clip is the mean cost of the batch's other clips.  It does not depend on
        the clip's own sample, so it lowers the variance and adds no bias.

        Args:
            costs: (N,), what each clip's sample cost; no gradient flows through them.
        """
        costs = costs.detach()
        count = len(costs)
        baseline = (costs.sum() - costs) / (count - 1) if count > 1 else torch.zeros_like(costs)
        return ((costs - baseline) * torch.stack(self._log_probabilities).sum(0)).mean()
