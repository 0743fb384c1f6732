"""What keys and shapes tell of the policy networks in a checkpoint of the public AdaFuse code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.bninception import BLOCKS
from adafuse_deploy.models.resnet import DEPTHS

# Actions by whether the network reads the previous frame and by logits per channel.
_ACTIONS = {
    (True, 3): ("keep", "reuse", "skip"),
    (True, 2): ("keep", "reuse"),
    (False, 2): ("keep", "skip"),
}


@dataclass(frozen=True)
class Gate:
    """One policy network.

    Attributes:
        name: the module's, such as "base_model.layer1.0.policy_net".
        block: the block it stands in, such as "1.0" or "3a".
        channels: how many channels it decides over.
        actions: as in :class:`~adafuse_deploy.core.config.ModelConfig`.
        layers: how many linear layers it has.
        norm: whether it has batch normalisation.
        hidden: its hidden units; 0 with a single layer.
    """

    name: str
    block: str
    channels: int
    actions: tuple[str, ...]
    layers: int
    norm: bool
    hidden: int


def blocks_of(backbone: str) -> list[str]:
    """Return the names of a backbone's blocks in order, such as "1.0" or "3a"."""
    if backbone == "bninception":
        return [shape.name for shape in BLOCKS]
    depths = DEPTHS[backbone]
    return [f"{stage}.{index}" for stage, depth in enumerate(depths, 1) for index in range(depth)]


def find_gates(weights: Mapping[str, Tensor], backbone: str) -> list[Gate]:
    """Return the policy networks among weights by the public code's names.

    Raises:
        InputError: one is damaged, or of an option that has no counterpart here.
    """
    if backbone == "bninception":
        places = _places_of_inception()
    else:
        places = _places_of_resnet(weights, blocks_of(backbone))
    names = {match.group(1) for key in weights if (match := _POLICY.match(key))}
    return [
        _gate(weights, name, block, inputs, channels)
        for name, block, inputs, channels in places
        if name in names
    ]


_POLICY = re.compile(r"(base_model\.(?:layer\d+\.\d+\.policy_net2?|policy_net_\d\w))\.")
_Place = tuple[str, str, int, int]
"""A gate that may be: its name, its block, its input channels and the channels it gates."""


def _places_of_inception() -> Iterator[_Place]:
    inputs = 192
    for shape in BLOCKS:
        passed = shape.project or inputs
        channels = shape.direct + shape.single[1] + shape.double[1] + passed
        yield f"base_model.policy_net_{shape.name}", shape.name, inputs, channels
        inputs = channels


def _places_of_resnet(weights: Mapping[str, Tensor], blocks: list[str]) -> Iterator[_Place]:
    for block in blocks:
        channels, inputs = _shape(weights, f"base_model.layer{block}.conv1.weight", 4)[:2]
        yield f"base_model.layer{block}.policy_net", block, inputs, channels
        yield f"base_model.layer{block}.policy_net2", block, channels, channels


def _gate(weights: Mapping[str, Tensor], name: str, block: str, inputs: int, channels: int) -> Gate:
    layers = 3 if f"{name}.gate_fc2.weight" in weights else 2
    layers = layers if f"{name}.gate_fc1.weight" in weights else 1
    hidden, features = _shape(weights, f"{name}.gate_fc0.weight", 2)
    rows = _shape(weights, f"{name}.gate_fc{layers - 1}.weight", 2)[0]
    history, logits = features == 2 * inputs, rows / channels
    actions = _ACTIONS.get((history, int(logits)))
    if features not in (inputs, 2 * inputs) or logits != int(logits) or actions is None:
        raise InputError(
            f"The policy network {name} has {features} inputs and {rows} outputs for {inputs} "
            f"input channels and {channels} gated ones; such shapes come from --granularity, "
            "--gate_channel_starts or --gate_channel_ends, which are not supported, or from a "
            "damaged file."
        )
    norm = any(key.startswith(f"{name}.gate_bn") for key in weights)
    return Gate(name, block, channels, actions, layers, norm, 0 if layers == 1 else hidden)


def _shape(weights: Mapping[str, Tensor], key: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a weight, none of whose sizes is 0."""
    tensor = weights.get(key)
    shape = () if tensor is None else tuple(tensor.shape)
    if len(shape) != dimensions or 0 in shape:
        found = "is missing" if tensor is None else f"has shape {shape}"
        raise InputError(
            f"The checkpoint's {key} {found} instead of having {dimensions} dimensions; the file "
            "is damaged, or not of the public AdaFuse code."
        )
    return shape
