"""The gate of a block in two launches: pooled features to hidden units; to policy and lists.

Sums are float32.  Weights may be fp16, bf16 or int8 (with a scale per row): what they meet is then
split in two numbers of half precision, which lose nothing of float32 that matters, so that only
weights are rounded.  Weights in float32 take three TF32 products.
"""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.block.lists import write_records


@triton.jit
def sum_frames(
    x,
    sums,
    channels,
    width,
    pixels,
    pitch,
    first,
    frame,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Sum frames over pixels, for the gate of a first block: (N * T, tiles, C) float32.

    A tile is STEPS * BLOCK_M pixels.  ``first`` is where pixel (0, 0) lies, in pixels.
    Grid: (ceil(C / BLOCK_N), tiles, N * T).
    """
    f = tl.program_id(2)
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    real = (column < channels)[None, :]
    source = x + f.to(tl.int64) * frame
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(STEPS):
        pixel = (tl.program_id(1) * STEPS + step) * BLOCK_M + tl.arange(0, BLOCK_M)
        place = first + pixel // width * pitch + pixel % width
        at = (place * channels)[:, None] + column[None, :]
        acc += tl.load(source + at, mask=(pixel < pixels)[:, None] & real, other=0).to(tl.float32)
    row = f * tl.num_programs(1) + tl.program_id(1)
    tl.store(sums + row * channels + column, tl.sum(acc, 0), mask=column < channels)


@triton.jit
def multiply_exactly(features, weight, acc):
    """Add features (float32) times weights of any type to the accumulators."""
    if weight.dtype == tl.float32:
        acc = tl.dot(features, weight, acc, input_precision="tf32x3")
    else:
        factors = weight.to(tl.float16) if weight.dtype == tl.int8 else weight
        high = features.to(factors.dtype)
        low = (features - high.to(tl.float32)).to(factors.dtype)
        acc = tl.dot(low, factors, acc)
        acc = tl.dot(high, factors, acc)
    return acc


@triton.jit
def gate_hidden(
    sums,
    weight,
    partial,
    arrivals,
    rows,
    frames,
    channels_in,
    hidden,
    forward,
    backward,
    pixels,
    tile_pixels,
    tiles,
    segments,
    groups,
    factor,
    HISTORY: tl.constexpr,
    SHIFT: tl.constexpr,
    FOLD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Multiply pooled features [v(t-1), v(t)] with the first layer: (splits, rows, hidden) float32.

    v are sums over pixels times ``factor``, under the temporal shift; v(-1) is zero; without
    HISTORY only v(t) is read.  ``weight`` is (hidden, 2 Cin) or (hidden, Cin).  A frame has
    ``pixels`` pixels in at most ``tiles`` tiles of ``tile_pixels``, which run over all frames; a
    row of ``sums`` belongs to a tile's first frame plus one of ``segments``.

    Grid: (ceil(hidden / BLOCK_N), ceil(rows / BLOCK_M), splits).  Also sets ``arrivals`` to zero.
    """
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    split = tl.program_id(2)
    if (tl.program_id(0) == 0) & (tl.program_id(1) == 0) & (split == 0):
        for start in range(0, groups, 128):
            group = start + tl.arange(0, 128)
            tl.store(arrivals + group, group * 0, mask=group < groups)
    length = 2 * channels_in if HISTORY else channels_in
    steps = tl.cdiv(tl.cdiv(length, BLOCK_K), tl.num_programs(2))
    t = (row % frames)[:, None]
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, steps):
        k = (split * steps + step) * BLOCK_K + tl.arange(0, BLOCK_K)
        if HISTORY:
            past = (k < channels_in).to(tl.int32)[None, :]
            channel = tl.where(k < channels_in, k, k - channels_in)[None, :]
        else:
            past = (k < 0).to(tl.int32)[None, :]
            channel = k[None, :]
        move = -past
        if SHIFT:
            move += tl.where(channel < forward * FOLD, 1, 0)
            move -= tl.where((channel >= forward * FOLD) & (channel < backward * FOLD), 1, 0)
        inside = (t + move >= 0) & (t + move < frames) & (t - past >= 0)
        inside = inside & (row < rows)[:, None] & (k < length)[None, :]
        frame = tl.where(inside, row[:, None] + move, 0)
        start = frame * pixels
        tile = start // tile_pixels
        last = (start + pixels - 1) // tile_pixels
        # Only its first tile can begin with another frame.
        slot = frame - tile * tile_pixels // pixels
        total = tl.load(
            sums + (tile * segments + slot) * channels_in + channel, mask=inside, other=0.0
        )
        for more in range(1, tiles):
            at = (tile + more) * segments * channels_in + channel
            total += tl.load(sums + at, mask=inside & (tile + more <= last), other=0.0)
        some = (column < hidden)[None, :] & (k < length)[:, None]
        w = tl.load(weight + (column * length)[None, :] + k[:, None], mask=some, other=0)
        acc = multiply_exactly(total * factor, w, acc)
    at = ((split * rows + row) * hidden)[:, None] + column[None, :]
    tl.store(partial + at, acc, mask=(row < rows)[:, None] & (column < hidden)[None, :])


@triton.jit
def gate_policy(
    partial,
    scale_hidden,
    bias_hidden,
    weight,
    scale,
    bias,
    policy,
    arrivals,
    lists,
    rows,
    frames,
    hidden,
    channels,
    splits,
    group_rows,
    action0,
    action1,
    action2,
    list_stride,
    inputs_at,
    RELU: tl.constexpr,
    INT8: tl.constexpr,
    UNIT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Finish the hidden layer, decide, and write the lists.

    ``weight`` is (3, C, hidden), ``scale`` and ``bias`` (3, C): for the logits of ``action0`` to
    ``action2``, of which the first of equal ones wins.  Scales are read with INT8 alone.  A group
    is ``group_rows`` frames of whole clips; the program that arrives last writes
    its lists, when every decision is there.

    Grid: (ceil(C / BLOCK_N), ceil(group_rows / BLOCK_M), groups).
    """
    first = tl.program_id(2) * group_rows
    end = tl.minimum(first + group_rows, rows)
    row = first + tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    real = column < channels
    lines = weight + (column * hidden)[None, :]
    logits0 = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    logits1 = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    logits2 = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k0 in range(0, hidden, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        some = k < hidden
        seen = (row < end)[:, None] & some[None, :]
        at = partial + (row * hidden)[:, None] + k[None, :]
        h = tl.load(at, mask=seen, other=0.0)
        for split in range(1, splits):
            h += tl.load(at + split * rows * hidden, mask=seen, other=0.0)
        if INT8:
            h *= tl.load(scale_hidden + k, mask=some, other=0.0)[None, :]
        h += tl.load(bias_hidden + k, mask=some, other=0.0)[None, :]
        if RELU:
            h = tl.maximum(h, 0.0)
        mask = real[None, :] & some[:, None]
        p = lines + k[:, None]
        size = channels * hidden
        logits0 = multiply_exactly(h, tl.load(p, mask=mask, other=0), logits0)
        logits1 = multiply_exactly(h, tl.load(p + size, mask=mask, other=0), logits1)
        logits2 = multiply_exactly(h, tl.load(p + 2 * size, mask=mask, other=0), logits2)
    if INT8:
        logits0 *= tl.load(scale + column, mask=real, other=0.0)[None, :]
        logits1 *= tl.load(scale + channels + column, mask=real, other=0.0)[None, :]
        logits2 *= tl.load(scale + 2 * channels + column, mask=real, other=0.0)[None, :]
    logits0 += tl.load(bias + column, mask=real, other=0.0)[None, :]
    logits1 += tl.load(bias + channels + column, mask=real, other=0.0)[None, :]
    logits2 += tl.load(bias + 2 * channels + column, mask=real, other=0.0)[None, :]
    rest = tl.where(logits1 >= logits2, action1, action2)
    action = tl.where((logits0 >= logits1) & (logits0 >= logits2), action0, rest)
    at = (row * channels)[:, None] + column[None, :]
    tl.store(policy + at, action, mask=(row < end)[:, None] & real[None, :])
    # All threads have stored before one of them arrives.
    tl.debug_barrier()
    before = tl.atomic_add(arrivals + tl.program_id(2), 1, sem="acq_rel")
    if before == tl.num_programs(0) * tl.num_programs(1) - 1:
        tl.debug_barrier()
        for start in range(first, end, BLOCK_R):
            write_records(
                policy, lists, start, end, frames, channels, list_stride, inputs_at,
                UNIT, BLOCK_R, BLOCK,
            )  # fmt: skip
