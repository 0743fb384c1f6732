"""Which channels a frame computes, stores and reads: lists made on the GPU from the policy.

A frame's record is a row of int32: COUNTS numbers, then two lists of channels.  Channels of frame t
fall into kept and not lent (A), kept and lent (B), lent only (C), where lent means that frame t + 1
of the clip reuses them::

    outputs    | A A A A A 0 0 0 | B B C C C C 0 0 |            what the first convolution computes
               ^ 0               ^ NEXT_START
               |-- own: A 0 B .. OWN_END --|                   stored in frame t
                                 |- next: B C, NEXT_LENGTH -|  stored in frame t + 1, at its OWN_END

    inputs     | A A A A A 0 0 0 | B B 0 0 0 0 0 0 | B'B'C'C'C'0 0 0 |   what the second one reads
               |---------- own --------- OWN_END --|-- lent by t-1 --| INPUTS

Runs begin at multiples of UNIT, the channels in 16 bytes.  0 is padding: entry ``channels``, whose
row in packed weights is zero, so that loops need no masks.  What lies in a padding slot of a frame
is finite.  Actions other than KEEP and REUSE count as SKIP.
"""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.block import plan
from adafuse_deploy.ops.triton.channels import KEEP, REUSE, SKIP

# All but the lists' own entries count units, so that compilers know multiples of UNIT.
OWN_END, NEXT_START, NEXT_LENGTH, COLUMNS, INPUTS = (tl.constexpr(i) for i in range(5))
COUNTS = tl.constexpr(plan.COUNTS)
FILL = tl.constexpr(plan.K_FILL)
# Three counters of ten bits share an int32 in prefix sums: less than 1024 channels.
ONE_B, ONE_C = tl.constexpr(1 << 10), tl.constexpr(1 << 20)


@triton.jit
def channel_lists(
    policy,
    lists,
    rows,
    frames,
    channels,
    list_stride,
    inputs_at,
    UNIT: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the records of BLOCK_R frames.  Grid: (ceil(rows / BLOCK_R),), rows = N * T."""
    first = tl.program_id(0) * BLOCK_R
    write_records(
        policy, lists, first, rows, frames, channels, list_stride, inputs_at, UNIT, BLOCK_R, BLOCK
    )


@triton.jit
def write_records(
    policy,
    lists,
    first_row,
    end_row,
    frames,
    channels,
    list_stride,
    inputs_at,
    UNIT: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the records of frames ``first_row`` up to BLOCK_R more, less than ``end_row``.

    ``policy`` is (N * T, channels); BLOCK is not less than ``channels``.
    """
    row = first_row + tl.arange(0, BLOCK_R)
    real = row < end_row
    t = row % frames
    c = tl.arange(0, BLOCK)[None, :]
    valid = (c < channels) & real[:, None]
    after_first = (t > 0)[:, None]
    before_last = (t + 1 < frames)[:, None]
    # .cg: written a moment ago by other programs, where the gate ends with this.
    at = policy + row[:, None] * channels + c
    here = tl.load(at, mask=valid, other=SKIP, cache_modifier=".cg")
    before = tl.load(at - channels, mask=valid & after_first, other=SKIP, cache_modifier=".cg")
    after = tl.load(at + channels, mask=valid & before_last, other=SKIP, cache_modifier=".cg")

    keep = here == KEEP
    lent = after == REUSE
    borrowed = (here == REUSE) & after_first
    a, b, c_only = keep & (lent == 0), keep & lent, lent & (keep == 0)
    old_b, old_c = borrowed & (before == KEEP), borrowed & (before != KEEP)

    packed = a.to(tl.int32) + b.to(tl.int32) * ONE_B + c_only.to(tl.int32) * ONE_C
    rank = tl.cumsum(packed, 1)
    old_packed = old_b.to(tl.int32) + old_c.to(tl.int32) * ONE_B
    old_rank = tl.cumsum(old_packed, 1)
    total, old_total = tl.sum(packed, 1), tl.sum(old_packed, 1)
    n_a, n_b, n_c = total % ONE_B, total // ONE_B % ONE_B, total // ONE_C
    n_old_b = old_total % ONE_B
    n_old = n_old_b + (old_total // ONE_B)

    next_start = tl.cdiv(n_a, UNIT)
    own_end = next_start + tl.cdiv(n_b, UNIT)
    next_length = tl.cdiv(n_b + n_c, UNIT)
    inputs_end = own_end + tl.cdiv(n_old, UNIT)
    record = lists + row * list_stride
    tl.store(record + OWN_END, own_end, mask=real)
    tl.store(record + NEXT_START, next_start, mask=real)
    tl.store(record + NEXT_LENGTH, next_length, mask=real)
    tl.store(record + COLUMNS, next_start + next_length, mask=real)
    tl.store(record + INPUTS, inputs_end, mask=real)

    outputs = (record + COUNTS)[:, None]
    inputs = (record + inputs_at)[:, None]
    middle = next_start * UNIT
    own = own_end * UNIT
    at_a = rank % ONE_B - 1
    at_b = middle[:, None] + rank // ONE_B % ONE_B - 1
    channel = tl.broadcast_to(c, (BLOCK_R, BLOCK))
    tl.store(outputs + at_a, channel, mask=a)
    tl.store(inputs + at_a, channel, mask=a)
    tl.store(outputs + at_b, channel, mask=b)
    tl.store(inputs + at_b, channel, mask=b)
    tl.store(outputs + (middle + n_b)[:, None] + rank // ONE_C - 1, channel, mask=c_only)
    tl.store(inputs + own[:, None] + old_rank % ONE_B - 1, channel, mask=old_b)
    tl.store(inputs + (own + n_old_b)[:, None] + old_rank // ONE_B - 1, channel, mask=old_c)

    _pad(outputs, n_a, middle, real, channels, UNIT)
    _pad(inputs, n_a, middle, real, channels, UNIT)
    _pad(outputs, middle + n_b + n_c, (next_start + next_length) * UNIT, real, channels, UNIT)
    _pad(inputs, middle + n_b, own, real, channels, UNIT)
    _pad(inputs, own + n_old, inputs_end * UNIT, real, channels, UNIT)
    # The last K block of the second convolution is read to its end.
    end = inputs_end * UNIT
    _pad(inputs, end, tl.cdiv(end, FILL) * FILL, real, channels, FILL)


@triton.jit
def _pad(entries, start, end, real, channels, WIDTH: tl.constexpr):
    """Fill entries ``start`` to ``end``, at most WIDTH, with the row of zeros."""
    at = start[:, None] + tl.arange(0, WIDTH)[None, :]
    tl.store(entries + at, channels + at * 0, mask=(at < end[:, None]) & real[:, None])
