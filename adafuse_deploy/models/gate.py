"""Policy networks and the ways to turn their logits into policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.config import ModelConfig

Decide = Callable[[Tensor], Tensor]
"""From logits (N, T, C, 3) to a policy: int32 (N, T, C) of actions when hard, or weights of the
three actions (N, T, C, 3) when gradients must flow through them."""


class PolicyNetwork(nn.Module):
    """Decides keep, reuse or skip per channel from the pooled features of two frames.

    [v_{t-1}, v_t] -> Linear -> BatchNorm -> ReLU -> Linear -> 3 logits per gated channel, in the
    order KEEP, REUSE, SKIP; v_{-1} is zero (paper, section 3.2).
    """

    def __init__(self, fc0: nn.Linear, fc1: nn.Linear) -> None:
        super().__init__()
        self.fc0 = fc0
        self.bn: nn.BatchNorm1d | None = nn.BatchNorm1d(fc0.out_features)
        self.fc1 = fc1

    @property
    def channels(self) -> int:
        """How many channels the network decides over."""
        return self.fc1.out_features // 3

    def forward(self, previous: Tensor, current: Tensor, frames: int) -> Tensor:
        """Return logits (N, T, C, 3) for pooled block inputs (N * T, Cin) and their predecessors.

        Args:
            previous: v_{t-1} of every frame.
            current: v_t.
            frames: T.
        """
        hidden = self.fc0(torch.cat([previous, current], -1))
        if self.bn is not None:
            hidden = self.bn(hidden)
        return self.fc1(hidden.relu()).unflatten(0, (-1, frames)).unflatten(-1, (-1, 3))

    def fold(self) -> None:
        """Merge the normalisation into the first linear layer for good.

        Linear layers may be shared with other policy networks, normalisations are not; so the
        merged layer is a new one.
        """
        bn = self.bn
        assert bn is not None and bn.running_var is not None and bn.running_mean is not None
        factor = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
        merged = nn.Linear(self.fc0.in_features, self.fc0.out_features)
        with torch.no_grad():
            merged.weight.copy_(self.fc0.weight.double() * factor[:, None])
            shift = (self.fc0.bias.double() - bn.running_mean) * factor
            merged.bias.copy_(bn.bias.double() + shift)
        self.fc0, self.bn = merged, None


class PolicyNetworks:
    """Makes the policy networks of one model, sharing linear layers where the model asks for it."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._shared: dict[tuple[int, int], tuple[nn.Linear, nn.Linear]] = {}

    def make(self, in_channels: int, channels: int) -> PolicyNetwork:
        """Return a network from pooled ``in_channels`` to actions for ``channels`` channels."""
        if not self._config.shared_policy:
            return PolicyNetwork(*self._linears(in_channels, channels))
        shape = (in_channels, channels)
        if shape not in self._shared:
            self._shared[shape] = self._linears(in_channels, channels)
        return PolicyNetwork(*self._shared[shape])

    def _linears(self, in_channels: int, channels: int) -> tuple[nn.Linear, nn.Linear]:
        hidden = self._config.hidden_units(channels)
        linears = nn.Linear(2 * in_channels, hidden), nn.Linear(hidden, 3 * channels)
        for linear in linears:
            # Almost equal logits at the start: no action is preferred before anything is learnt.
            nn.init.normal_(linear.weight, 0, 0.001)
            nn.init.zeros_(linear.bias)
        return linears


def argmax(logits: Tensor) -> Tensor:
    """The most likely action per channel: the policy of deployment."""
    return logits.argmax(-1).to(torch.int32)


def sampled(generator: torch.Generator | None = None) -> Decide:
    """Draw actions from the softmax of the logits, as the paper's own evaluation does."""

    def decide(logits: Tensor) -> Tensor:
        uniform = torch.rand(logits.shape, generator=generator).to(logits.device)
        # Gumbel-max: the argmax of logits plus Gumbel noise is a sample of the softmax.
        noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return argmax(F.log_softmax(logits, -1) + noise)

    return decide


def gumbel(temperature: float) -> Decide:
    """Straight-through Gumbel-softmax weights, one-hot forward and soft backward (for training)."""

    def decide(logits: Tensor) -> Tensor:
        return F.gumbel_softmax(F.log_softmax(logits, -1), temperature, hard=True)

    return decide


def fixed(policies: Sequence[Tensor]) -> Decide:
    """Use given policies, one int32 (N, T, C) per gate in network order, whatever the logits."""
    remaining = iter(policies)

    def decide(logits: Tensor) -> Tensor:
        return next(remaining).to(logits.device, torch.int32)

    return decide
