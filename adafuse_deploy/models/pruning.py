"""Taking channels that no frame needs out of a network, and gates that always keep.

A gate's policy network reads the input of its block, which is the sum that runs past all gated
convolutions.  So leaving out channels between the convolutions of a block changes no other gate's
input, but by the order in which convolutions then sum; of gates of one block the second reads the
first's channels, of which those that are left out were zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adafuse_deploy.core.actions import KEEP
from adafuse_deploy.core.decisions import gate_title
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.forward import ForwardPass, Policy
from adafuse_deploy.models.gate import PolicyNetwork, argmax
from adafuse_deploy.models.layers import ConvBN
from adafuse_deploy.models.recognizer import VideoRecognizer
from adafuse_deploy.models.resnet import Bottleneck, ResidualBlock


@dataclass(frozen=True)
class GatePruning:
    """What becomes of a gate.

    Attributes:
        left: bool (C,), the channels that stay, at least one.
        plain: whether these are computed always and nothing decides any more.
    """

    left: np.ndarray
    plain: bool = False


class _Watch(ForwardPass):
    """A pass that notes which gated channels give anything but zeros.

    Attributes:
        used: per gate bool (N * T, C), in network order.
    """

    def __init__(self, frames: int) -> None:
        super().__init__(frames, argmax)
        self.used: list[Tensor] = []

    def conv(
        self,
        x: Tensor,
        layer: ConvBN,
        *,
        relu: bool = True,
        output: Policy | None = None,
        input: Policy | None = None,
    ) -> Tensor:
        y = super().conv(x, layer, relu=relu, output=output, input=input)
        if output is not None:
            self.used.append((y != 0).flatten(2).any(2))
        return y


class ChannelUse:
    """In how many frames the channels of a network's gates are needed.

    A channel is needed in a frame if what the next layer reads of it is not zero everywhere: it is
    neither skipped, nor reused from where there is nothing (a clip's first frame has no previous
    one), nor kept while its activations are all zero.

    Args:
        model: a ResNet with gates, in evaluation mode.

    Attributes:
        frames: how many were seen.
        needed: gate -> int64 (C,): in how many of them each channel was needed.
        kept: gate -> int64 (C,): in how many of them it was kept.

    Raises:
        InputError: the network has no gates, or is none that can be pruned.
    """

    def __init__(self, model: VideoRecognizer) -> None:
        if model.config.backbone == "bninception":
            raise InputError(
                "The channels of BN-Inception cannot be pruned: blocks pass channels on that their "
                "gates decide over; prune a network on a ResNet."
            )
        names = model.gate_names()
        if not names:
            raise InputError(
                "This network has no gates that could say which channels it never needs; give a "
                "network trained with gates."
            )
        self._model, self.frames = model, 0
        widths = [m.channels for m in model.modules() if isinstance(m, PolicyNetwork)]
        gates = [gate_title(name) for name in names]
        self.needed = {g: np.zeros(w, np.int64) for g, w in zip(gates, widths, strict=True)}
        self.kept = {g: np.zeros(w, np.int64) for g, w in zip(gates, widths, strict=True)}

    @torch.no_grad()
    def add(self, clips: np.ndarray) -> None:
        """Run clips, float32 (B, T, 3, H, W), under the network's own decisions."""
        frames = torch.from_numpy(clips)
        run = _Watch(frames.shape[1])
        self._model._run(frames, run)
        self.frames += clips.shape[0] * clips.shape[1]
        for gate, used, policy in zip(self.needed, run.used, run.policies, strict=True):
            self.needed[gate] += used.sum(0).numpy()
            self.kept[gate] += (policy == KEEP).sum((0, 1)).numpy()

    def plan(self, tolerance: float = 0.0) -> dict[str, GatePruning]:
        """Return what to take out.

        Of a gate that needs nothing the channel of the least number stays.  The second gate of a
        basic block decides over the block's sum, of which no channel can go.

        Args:
            tolerance: channels that are needed in at most this share of the frames go too.
        """
        plan = {}
        for gate, needed in self.needed.items():
            left = needed > tolerance * self.frames
            block = self._model.backbone.get_submodule(gate.rpartition(".")[0])
            if gate.endswith(".gate2") and not isinstance(block, Bottleneck):
                left = np.ones_like(left)
            if not left.any():
                left[0] = True
            plan[gate] = GatePruning(left, bool((self.kept[gate][left] == self.frames).all()))
        return plan


def prune(model: VideoRecognizer, plan: Mapping[str, GatePruning]) -> VideoRecognizer:
    """Return the network without what is to be taken out; policy networks share nothing any more.

    Args:
        model: a ResNet with gates; it is not changed.
        plan: gate -> what becomes of it, as of :meth:`ChannelUse.plan`.
    """
    config = model.config
    channels = {gate: int(pruning.left.sum()) for gate, pruning in plan.items()}
    whole = {gate for gate, pruning in plan.items() if pruning.left.all()}
    plain = {*config.plain_gates, *(gate for gate, pruning in plan.items() if pruning.plain)}
    pruned = VideoRecognizer(
        replace(
            config,
            gate_channels={
                **config.gate_channels,
                **{gate: count for gate, count in channels.items() if gate not in whole},
            },
            plain_gates=tuple(sorted(plain)),
            shared_policy=False,
        )
    )
    wanted = pruned.state_dict()
    weights = {name: value for name, value in model.state_dict().items() if name in wanted}
    for gate, pruning in plan.items():
        _take_out(weights, model, gate, torch.from_numpy(pruning.left))
    pruned.load_state_dict({name: value.clone() for name, value in weights.items()})
    return pruned.eval()


def _take_out(weights: dict[str, Tensor], model: VideoRecognizer, gate: str, left: Tensor) -> None:
    """Leave of all weights of a gate's channels those that are ``left``, bool (C,)."""
    block_name, _, which = gate.rpartition(".")
    prefix = f"backbone.{block_name}"
    block = model.backbone.get_submodule(block_name)
    assert isinstance(block, ResidualBlock)
    number = int(which.removeprefix("gate"))
    network: PolicyNetwork = getattr(block, which)
    # The rows of a channel's actions stand together in the last layer, and in its normalisation.
    rows = left.repeat_interleave(len(network.actions))
    last = [f".{which}.fc{network.depth - 1}.", *([f".{which}.bn."] if network.depth == 1 else [])]
    for name, value in weights.items():
        part = name.removeprefix(prefix)
        if part == name or not value.ndim:
            continue
        if part.startswith(f".conv{number}."):
            weights[name] = value[left]
        elif part.startswith(f".conv{number + 1}.conv.weight"):
            weights[name] = value[:, left]
        elif part.startswith(tuple(last)):
            weights[name] = value[rows]
        elif number == 1 and part == ".gate2.fc0.weight":
            frames = value.shape[1] // len(left)  # this one's and, to reuse, the one before
            weights[name] = value[:, left.repeat(frames)]
