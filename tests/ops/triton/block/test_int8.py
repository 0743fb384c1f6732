"""INT8 block kernels in Triton's interpreter against real arithmetic on dequantised values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.models.layers import temporal_shift
from adafuse_deploy.ops.conv import fuse, previous_frame

pytest.importorskip("triton")
from adafuse_deploy.ops.triton.block.plan import Block, Shift
from adafuse_deploy.ops.triton.block.run import from_frames, run_block, to_frames
from adafuse_deploy.ops.triton.block.tiles import Tile
from adafuse_deploy.ops.triton.block.weights import Convolution, pack_block

SMALL = dict.fromkeys(("outputs", "inputs", "last"), Tile(32, 32, 32, 4, 1))


def quantized(value: Tensor, scale: float) -> Tensor:
    """Round to steps of ``scale``, 0 to 127, as QuantizeLinear does."""
    return (value / scale).round().clamp(0, 127)


def dequantized(weight: Tensor) -> Tensor:
    """Round weights to 8 bits with a symmetric scale per output channel."""
    steps = weight.abs().amax((1, 2, 3), keepdim=True) / 127
    return (weight / steps).round() * steps


def convolution(channels_out: int, channels_in: int, kernel: int) -> Convolution:
    weight = torch.randn(channels_out, channels_in, kernel, kernel)
    return weight / (channels_in * kernel * kernel) ** 0.5, torch.randn(channels_out) / 4


@pytest.mark.parametrize("policies", ["mixed", "garbage"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["bottleneck", pytest.param("basic", marks=pytest.mark.slow)])
def test_int8(kind: str, stride: int, policies: str) -> None:
    torch.manual_seed(3)
    rows, frames, size = 4, 2, (5, 4)
    bottleneck, project = kind == "bottleneck", stride == 2
    channels_in = 64
    channels = 32 if bottleneck else 64
    block = Block(
        kind, channels_in, channels, 64, stride, project,
        Shift.of("bidirectional", channels_in), dtype="int8",
    )  # fmt: skip
    kernels = (1, 3, 1) if bottleneck else (3, 3)
    widths = (channels_in, channels, channels, 64)
    layers = [convolution(widths[i + 1], widths[i], k) for i, k in enumerate(kernels)]
    shortcut = convolution(64, channels_in, 1) if project else None
    scales = [0.03, 0.02, 0.025, 0.04] if bottleneck else [0.03, 0.02, 0.04]
    x = torch.randint(0, 128, (rows, channels_in, *size))
    if policies == "mixed":
        policy = torch.randint(0, 3, (rows, channels)).int()
    else:
        policy = torch.randint(-(2**31), 2**31 - 1, (rows, channels)).int()
    known = torch.where((policy == KEEP) | (policy == REUSE), policy, 2)

    real = [(dequantized(w.double()), b.double()) for w, b in layers]
    shifted = temporal_shift(x.double() * scales[0], frames, "bidirectional", 8)
    strides = (1, stride, 1) if bottleneck else (stride, 1)
    y = shifted
    for index, ((weight, bias), step) in enumerate(zip(real, strides, strict=True)):
        y = F.conv2d(y, weight, bias, step, weight.shape[-1] // 2)
        if index + 1 < len(real):
            y = quantized(y, scales[index + 1]) * scales[index + 1]
        if index == 0:
            y = fuse(y, previous_frame(y, frames), known.unflatten(0, (-1, frames)))
    side = x.double() * scales[0]
    if shortcut is not None:
        weight, bias = dequantized(shortcut[0].double()), shortcut[1].double()
        side = F.conv2d(shifted, weight, bias, stride)
    expected = quantized(y + side, scales[-1])

    result = run_block(
        block, pack_block(block, layers, shortcut, scales),
        to_frames(x.to(torch.int8), block.input(*size)), size, frames, policy,
        scales=(scales[0], scales[-1]), choice=SMALL, fill=-1,
    )  # fmt: skip
    given = from_frames(result.frames, block.output(*size)).double()
    # Float32 against float64 decides ties another way now and then, by one step.
    off = (given - expected).abs()
    assert off.max() <= 1 and (off > 0).double().mean() < 2e-3
    assert 0.2 < (expected > 0).double().mean() < 0.999  # not all clipped
    if kind == "basic":
        sums = result.sums.values.reshape(rows, -1, 64).sum(1)
        assert torch.equal(sums.double(), given.sum((2, 3)))
