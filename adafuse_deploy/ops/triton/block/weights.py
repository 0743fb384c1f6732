"""Weights in the order in which the block kernels read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.core.errors import InputError
from adafuse_deploy.ops.triton.block import order
from adafuse_deploy.ops.triton.block.plan import Block

Convolution = tuple[Tensor, Tensor]
"""Weight (Cout, Cin, kH, kW) and bias (Cout,), float, normalisation folded."""

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "int8": torch.int8}


def pack_block(
    block: Block,
    convolutions: Sequence[Convolution],
    shortcut: Convolution | None = None,
    scales: Sequence[float] = (),
) -> dict[str, Tensor]:
    """Return the weights of a block's convolutions by the names in its plan.

    Args:
        block: what it is.
        convolutions: the two or three of the residual path, in order.
        shortcut: the one on the shortcut.
        scales: in int8, real values of one step: of the block's input, of what is behind every
            convolution but the last, and of its output.

    Raises:
        InputError: a weight or a scale is not finite, or a scale is not positive.
    """
    for weight, bias in [*convolutions, *([shortcut] if shortcut else [])]:
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise InputError("A block's weights must be finite; this block has others.")
    if block.dtype == "int8" and not all(0 < scale < float("inf") for scale in scales):
        raise InputError(f"Scales of an INT8 block must be positive and finite, not {scales}.")
    packed: dict[str, Tensor] = {}
    last = len(convolutions)
    for index, (weight, bias) in enumerate(convolutions, 1):
        bias = bias.float()
        if index == last and shortcut is not None:
            bias = bias + shortcut[1].float()
        turned, factor = _stored(weight, block.dtype, _ORDERS[index])
        if block.dtype == "int8":
            factor = factor * (scales[index - 1] / scales[index])
            bias = bias / scales[index]
        if index == 1:
            bias, factor = F.pad(bias, (0, 1)), F.pad(factor, (0, 1))
        packed[f"weight{index}"] = turned
        packed[f"scale{index}"], packed[f"bias{index}"] = factor.contiguous(), bias.contiguous()
    if shortcut is not None:
        turned, factor = _stored(shortcut[0], block.dtype, order.plain)
        if block.dtype == "int8":
            factor = factor * (scales[0] / scales[-1])
        packed["shortcut"], packed["shortcut_scale"] = turned, factor
    return packed


def pack_gate(block: Block, layers: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return the weights of a gate's two linear layers by the names in a block's plan.

    Args:
        block: the gate's block.
        layers: weight (hidden, Cin or 2 Cin) and bias; weight (C * A, hidden) and bias, whose rows
            are A actions per channel.

    Raises:
        InputError: the gate does not consist of two layers and two or three actions.
    """
    actions = len(block.actions)
    if len(layers) != 2 or actions not in (2, 3):
        raise InputError(
            f"Gate kernels take two linear layers and two or three actions, not {len(layers)} and "
            f"{actions}; compute this gate's policy outside."
        )
    (weight0, bias0), (weight1, bias1) = layers
    values, shifts = order.logits(_array(weight1), _array(bias1), actions)
    stored0, scale0 = _stored(weight0, block.gate_dtype, order.plain)
    stored1, scale1 = _stored(
        torch.from_numpy(values).to(weight1.device), block.gate_dtype, order.plain
    )
    return {
        "gate_weight0": stored0,
        "gate_scale0": scale0,
        "gate_bias0": bias0.float().contiguous(),
        "gate_weight1": stored1,
        "gate_scale1": scale1,
        "gate_bias1": torch.from_numpy(shifts).to(bias1.device),
    }


_ORDERS = {1: order.first, 2: order.second, 3: order.plain}
"""Of the convolutions on the residual path."""


def _stored(
    weight: Tensor, dtype: str, turn: Callable[[np.ndarray], np.ndarray]
) -> tuple[Tensor, Tensor]:
    """Return weights in a type and an order, and their scale per row: of int8 symmetric, else 1."""
    values = weight.float()
    rows = values.flatten(1)
    scale = torch.ones(len(rows), device=weight.device)
    if dtype == "int8":
        largest = rows.abs().amax(1)
        scale = torch.where(largest > 0, largest / 127, scale)
        values = (values / scale.view(-1, *[1] * (weight.ndim - 1))).round().clamp(-127, 127)
    turned = torch.from_numpy(np.ascontiguousarray(turn(_array(values))))
    return turned.to(weight.device, TYPES[dtype]), scale


def _array(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().float().cpu().numpy()
    return array
