"""Policy networks and the ways to turn their logits into policies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.config import ModelConfig

Decide = Callable[[Tensor], Tensor]
"""From a gate's logits (N, T, C, A), over its A actions, to its decisions.

They are hard, int32 (N, T, C): which of the A logits; or soft, float (N, T, C, A): a weight for
each, through which gradients flow.  Policies that are known already are uint8 (N, T, C) of
KEEP/REUSE/SKIP.
"""

_NUMBERS = {"keep": KEEP, "reuse": REUSE, "skip": SKIP}


class PolicyNetwork(nn.Module):
    """Decides per channel from the pooled features of this frame and, to reuse, the one before.

    [v_{t-1}, v_t] -> Linear -> BatchNorm -> ReLU -> Linear -> a logit per gated channel and action;
    v_{-1} is zero (paper, section 3.2).  Logits stand in the order KEEP, REUSE, SKIP; those of a
    single layer the other way round, because a ReLU behind it makes ties and the first of equal
    logits wins, which in the public code is the cheapest action.

    Args:
        config: actions, pooling, normalisation and ReLU.
        linears: one to three layers.
    """

    def __init__(self, config: ModelConfig, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.actions = tuple(_NUMBERS[action] for action in config.gate_actions)
        if len(linears) == 1:
            self.actions = self.actions[::-1]
        self.history = REUSE in self.actions
        self.pooling, self.relu = config.gate_pooling, config.gate_relu
        self.depth = len(linears)
        for index, linear in enumerate(linears):
            setattr(self, f"fc{index}", linear)
            if index == 0 or index + 1 < self.depth:
                norm = nn.BatchNorm1d(linear.out_features) if config.gate_norm else None
                setattr(self, _norm_name(index), norm)

    def layers(self) -> list[tuple[nn.Linear, nn.BatchNorm1d | None, bool]]:
        """Return the linear layers in order, each with its normalisation and whether ReLU follows.

        None where there is no normalisation, or none any more.
        """
        found = []
        for index in range(self.depth):
            inner = index == 0 or index + 1 < self.depth
            norm = getattr(self, _norm_name(index)) if inner else None
            found.append((getattr(self, f"fc{index}"), norm, inner and self.relu))
        return found

    @property
    def channels(self) -> int:
        """How many channels the network decides over."""
        last: nn.Linear = getattr(self, f"fc{self.depth - 1}")
        return last.out_features // len(self.actions)

    def pool(self, x: Tensor) -> Tensor:
        """Return what the network reads of feature maps: (N * T, C, H, W) to (N * T, C)."""
        return x.mean((2, 3)) if self.pooling == "average" else x.amax((2, 3))

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Return logits (N, T, C, A).

        Args:
            features: (N * T, Cin): pooled block inputs, behind those of each frame's predecessor
                (N * T, 2 Cin) if the network can reuse.
            frames: T.
        """
        for linear, norm, relu in self.layers():
            features = linear(features)
            features = features if norm is None else norm(features)
            features = features.relu() if relu else features
        return features.unflatten(0, (-1, frames)).unflatten(-1, (-1, len(self.actions)))

    def policy(self, decisions: Tensor) -> Tensor:
        """Number decisions as all of us do, see :data:`Decide`.

        Returns:
            int32 (N, T, C) of KEEP/REUSE/SKIP, or float (N, T, C, 3): weights of these three.
        """
        if decisions.dtype == torch.uint8:
            return decisions.to(torch.int32)
        if decisions.is_floating_point():
            if self.actions == (KEEP, REUSE, SKIP):
                return decisions
            weights = dict(zip(self.actions, decisions.unbind(-1), strict=True))
            none = torch.zeros_like(decisions[..., 0])
            return torch.stack([weights.get(action, none) for action in (KEEP, REUSE, SKIP)], -1)
        first, step = self.actions[0], self.actions[1] - self.actions[0]
        policy = decisions if step == 1 else decisions * step
        return policy if first == 0 else policy + first

    def fold(self) -> None:
        """Merge the normalisations into the linear layers in front of them for good.

        Linear layers may be shared with other policy networks, normalisations are not; so the
        merged layers are new ones.
        """
        for index, (linear, norm, _) in enumerate(self.layers()):
            if norm is not None:
                setattr(self, f"fc{index}", _merged(linear, norm))
                setattr(self, _norm_name(index), None)


def _norm_name(index: int) -> str:
    return f"bn{index or ''}"


def _merged(linear: nn.Linear, bn: nn.BatchNorm1d) -> nn.Linear:
    assert bn.running_var is not None and bn.running_mean is not None
    factor = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
    merged = nn.Linear(linear.in_features, linear.out_features)
    with torch.no_grad():
        merged.weight.copy_(linear.weight.double() * factor[:, None])
        shift = (linear.bias.double() - bn.running_mean) * factor
        merged.bias.copy_(bn.bias.double() + shift)
    return merged


class PolicyNetworks:
    """Makes the policy networks of one model, sharing linear layers where the model asks for it."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._shared: dict[tuple[int, int], list[nn.Linear]] = {}

    def make(self, in_channels: int, channels: int, left: int | None = None) -> PolicyNetwork:
        """Return a network from pooled ``in_channels`` to actions for ``channels`` channels.

        Where pruning has left fewer, those are ``left``.
        """
        left = channels if left is None else left
        if not self._config.shared_policy:
            return PolicyNetwork(self._config, self._linears(in_channels, channels, left))
        shape = (in_channels, channels)
        if shape not in self._shared:
            self._shared[shape] = self._linears(in_channels, channels, left)
        return PolicyNetwork(self._config, self._shared[shape])

    def _linears(self, in_channels: int, channels: int, left: int) -> list[nn.Linear]:
        config = self._config
        hidden = [config.hidden_units(channels)] * (config.gate_layers - 1)
        frames = 2 if "reuse" in config.gate_actions else 1
        sizes = [frames * in_channels, *hidden, len(config.gate_actions) * left]
        linears = [nn.Linear(*pair) for pair in itertools.pairwise(sizes)]
        for linear in linears:
            # Almost equal logits at the start: no action is preferred before anything is learnt.
            nn.init.normal_(linear.weight, 0, 0.001)
            nn.init.zeros_(linear.bias)
        return linears


def argmax(logits: Tensor) -> Tensor:
    """The most likely action per channel, the first of equal ones: the decisions of deployment."""
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
    """Use given policies, one (N, T, C) of KEEP/REUSE/SKIP per gate in network order."""
    remaining = iter(policies)

    def decide(logits: Tensor) -> Tensor:
        return next(remaining).to(logits.device, torch.uint8)

    return decide
