"""Gates that a block's kernels decide themselves."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from adafuse_deploy.graph.fuse.policy_networks import PolicyNetwork
from adafuse_deploy.graph.fuse.residual_blocks import ResidualBlock
from adafuse_deploy.graph.fuse.spatial_means import is_spatial_mean
from adafuse_deploy.graph.fuse.temporal_shift import find_part, find_shift
from adafuse_deploy.graph.values import dims, given, producer
from adafuse_deploy.ops.triton.block.compiled import HIDDEN


def why_outside(network: PolicyNetwork | None, block: ResidualBlock, channels: int) -> str | None:
    """Return why TensorRT's layers must decide for a block, as the end of a sentence, or None.

    Args:
        network: that decides, or None if it is no policy network of two layers.
        block: gated.
        channels: of the block's input.
    """
    if network is None:
        return "a gate has other than two linear layers"
    mean = network.features.producer()
    if mean is None or not is_spatial_mean(mean):
        return "a gate does not read means over space"
    pooled = given(mean, 0)
    cast = producer(pooled, "Cast")
    if find_shift(pooled if cast is None else given(cast, 0)) != block.shift:
        return "a gate does not read its block's input"
    if not network.relu:
        return "no ReLU follows a gate's hidden layer"
    if network.previous is not None and not _looks_back(network.previous, network.features):
        return "a gate looks at something else than the frame before"
    wanted = channels if network.previous is None else 2 * channels
    if (dims(network.first[0]) or ())[1:] != (wanted,):
        return "a gate's first layer has other inputs than pooled features"
    return None


def padded(weight: np.ndarray, bias: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a gate's first layer as kernels take it: two frames' features, units in sixteens.

    A gate that does not look back has zeros for the frame before; units that it has not are zero.

    Args:
        weight: (hidden, C) or (hidden, 2 C).
        bias: (hidden,).
        channels: C.
    """
    units = -len(weight) % HIDDEN
    past = 2 * channels - weight.shape[1]
    return np.pad(weight, ((0, units), (past, 0))), np.pad(bias, (0, units))


def _looks_back(previous: ir.Value | None, features: ir.Value) -> bool:
    """Whether ``previous`` (N * T, F) are the features of the frame before, zeros at first."""
    reshape = producer(previous, "Reshape")
    part = None if reshape is None else find_part(given(reshape, 0))
    if part is None or (part.first, part.last, part.frame) != (0, None, -1):
        return False
    clips = producer(part.source, "Reshape")
    return clips is not None and clips.inputs[0] is features
