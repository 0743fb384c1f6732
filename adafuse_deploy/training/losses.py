"""The FLOPs term of the loss: what a batch's policies cost, differentiable in the policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP
from adafuse_deploy.core.cost import Layer, dense_macs
from adafuse_deploy.core.errors import InputError

FlopsLoss = Literal["real", "upb"]
"""``real`` counts both savings of a policy: outputs nobody needs are not computed and skipped
inputs are not read.  ``upb``, an upper bound of the cost, counts only the skipped inputs."""

FLOPS_LOSSES: tuple[str, ...] = get_args(FlopsLoss)


def relative_flops(
    layers: Sequence[Layer], policies: Sequence[Tensor], mode: FlopsLoss = "real"
) -> Tensor:
    """Return what each clip costs relative to the network without gates, (N,).

    For one-hot policies under ``real`` this is exactly
    :func:`adafuse_deploy.core.cost.clip_macs` over :func:`adafuse_deploy.core.cost.dense_macs`:
    channel i of frame t is spared only if frame t does not keep it *and* frame t + 1 does not reuse
    it (the last frame has no successor).

    Args:
        layers: the network's cost table, ``model.layers()``.
        policies: per gate, weights (N, T, C, 3) of KEEP/REUSE/SKIP that sum to one.
        mode: which savings count.

    Raises:
        InputError: there are no policies, that is, the network has no gates.
    """
    if not policies:
        raise InputError("A network without gates has no FLOPs to train; leave out the FLOPs term.")
    frames = policies[0].shape[1]
    needed = [_needed(policy) for policy in policies]
    read = [1 - policy[..., SKIP] for policy in policies]
    macs = policies[0].new_zeros(len(policies[0]), dtype=torch.float32)
    for layer in layers:
        share = policies[0].new_ones(frames, dtype=torch.float32)
        if layer.output is not None and mode == "real":
            share = share * _mean(needed[layer.output.gate], layer.output.start, layer.output.stop)
        if layer.input is not None:
            share = share * _mean(read[layer.input.gate], layer.input.start, layer.input.stop)
        macs = macs + layer.macs * share.sum(-1)
    return macs / dense_macs(layers, frames)


def _needed(policy: Tensor) -> Tensor:
    """Return to what degree each channel must be computed, (N, T, C)."""
    reused_next = torch.cat([policy[:, 1:, :, REUSE], torch.zeros_like(policy[:, :1, :, 0])], 1)
    return 1 - (1 - policy[..., KEEP]) * (1 - reused_next)


def _mean(degrees: Tensor, start: int, stop: int) -> Tensor:
    return degrees[:, :, start:stop].float().mean(-1)
