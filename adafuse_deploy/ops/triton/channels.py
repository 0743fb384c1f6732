"""Kernels that find out on the GPU which channels are worth computing and worth reading.

The host never learns how many there are: lists have room for every channel and begin with their
count, grids are the largest possible.  Positions are prefix sums, so lists are in ascending order
and results do not depend on timing.

A list of C channels is a row of C + 1 int32 per frame: the count, then the channels.
"""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.core import actions

KEEP = tl.constexpr(actions.KEEP)
REUSE = tl.constexpr(actions.REUSE)
SKIP = tl.constexpr(actions.SKIP)


@triton.jit
def load_actions(policy, row, channels, channel, valid):
    """Load the actions over ``channel`` in row ``row`` of a policy, SKIP where not ``valid``."""
    return tl.load(policy + row * channels + channel, mask=valid & (channel < channels), other=SKIP)


@triton.jit
def list_outputs(policy, outputs, frames, channels, BLOCK: tl.constexpr):
    """List the channels that every frame keeps or the next frame of its clip reuses.

    Grid: (N * T,).
    """
    row = tl.program_id(0)
    followed = row % frames + 1 < frames
    target = outputs + row * (channels + 1)
    count = tl.zeros((), tl.int32)
    for start in range(0, channels, BLOCK):
        channel = start + tl.arange(0, BLOCK)
        keep = load_actions(policy, row, channels, channel, True) == KEEP
        reuse = load_actions(policy, row + 1, channels, channel, followed) == REUSE
        needed = (keep | reuse).to(tl.int32)
        position = count + tl.cumsum(needed, 0)
        tl.store(target + position, channel, mask=needed != 0)
        count += tl.sum(needed, 0)
    tl.store(target, count)


@triton.jit
def compact_inputs(
    x,
    policy,
    compact,
    inputs,
    frames,
    channels,
    pixels,
    x_frame,
    x_stride,
    compact_stride,
    CHANNELS_LAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
    PADDING: tl.constexpr,
):
    """List the channels of ``x`` that are not promised to be zero and put their values together.

    The convolution reads every input for every tap and every tile of output channels; gathering
    once lets those reads be wide and asynchronous.  ``compact`` is (N * T, pixels, compact_stride)
    and filled up with zeros to a multiple of PADDING channels.

    Grid: (ceil(pixels / BLOCK_M), N * T).  ``x_stride`` is the distance between pixels if
    CHANNELS_LAST and between channels if not; the other one is 1.
    """
    block = tl.program_id(0)
    row = tl.program_id(1)
    pixel = block * BLOCK_M + tl.arange(0, BLOCK_M)
    inside = pixel < pixels
    first = row % frames == 0
    source = x + row.to(tl.int64) * x_frame
    target = compact + (row.to(tl.int64) * pixels + pixel)[:, None] * compact_stride
    entries = inputs + row * (channels + 1)
    count = tl.zeros((), tl.int32)
    for start in range(0, channels, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        action = load_actions(policy, row, channels, channel, True)
        present = (action == KEEP) | ((action == REUSE) & (first == 0))
        position = count + tl.cumsum(present.to(tl.int32), 0)
        if CHANNELS_LAST:
            offset = pixel[:, None] * x_stride + channel[None, :]
        else:
            offset = channel[None, :] * x_stride + pixel[:, None]
        mask = inside[:, None] & present[None, :]
        values = tl.load(source + offset, mask=mask, other=0.0)
        tl.store(target + (position - 1)[None, :], values, mask=mask)
        if block == 0:
            tl.store(entries + position, channel, mask=present)
        count += tl.sum(present.to(tl.int32), 0)
    rest = count + tl.arange(0, PADDING)
    filled = inside[:, None] & (rest < tl.cdiv(count, PADDING) * PADDING)[None, :]
    zeros = tl.zeros((BLOCK_M, PADDING), compact.dtype.element_ty)
    tl.store(target + rest[None, :], zeros, mask=filled)
    if block == 0:
        tl.store(entries, count)
