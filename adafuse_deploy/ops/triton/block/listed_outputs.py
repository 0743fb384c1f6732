"""The first convolution of a block: listed output channels, into compact bordered frames."""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.block.lists import (
    COLUMNS,
    COUNTS,
    NEXT_LENGTH,
    NEXT_START,
    OWN_END,
)
from adafuse_deploy.ops.triton.block.parts import (
    clear_border,
    multiply,
    real_value,
    rectified,
    shifted,
    zeros_for_sums,
)


@triton.jit
def conv_listed_outputs(
    x,
    weight,
    scale,
    bias,
    compact,
    lists,
    frames,
    channels_in,
    forward,
    backward,
    height,
    width,
    x_pitch,
    x_frame,
    compact_distance,
    compact_frame,
    list_stride,
    TAPS: tl.constexpr,
    STRIDE: tl.constexpr,
    SHIFT: tl.constexpr,
    FOLD: tl.constexpr,
    UNIT: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Convolve 1x1 (TAPS 1) or 3x3 (TAPS 9), ReLU.

    ``x`` is read in place, temporal shift included: 1x1 from frames without a border, 3x3 from
    frames with one.  ``height`` and ``width`` are those of the result.  ``weight`` is
    (C + 1, TAPS, Cin), ``scale`` and ``bias`` (C + 1,), the last rows zero.  ``forward`` and
    ``backward`` count FOLD channels.

    Grid: (ceil((C + UNIT) / BLOCK_N), ceil(H * W / BLOCK_M) + 1, N * T); the last row of programs
    writes the border of the compact frames.
    """
    f = tl.program_id(2)
    t = f % frames
    start_n = tl.program_id(0) * BLOCK_N
    mine = lists + f * list_stride
    columns = tl.load(mine + COLUMNS) * UNIT
    if start_n >= columns:
        return
    own_end = tl.load(mine + OWN_END) * UNIT
    next_start = tl.load(mine + NEXT_START) * UNIT
    next_end = next_start + tl.load(mine + NEXT_LENGTH) * UNIT
    # From a column to its slot in the next frame; nothing is lent where there is none.
    next_own = tl.load(mine + list_stride + OWN_END, mask=t + 1 < frames, other=0) * UNIT
    to_next_slot = compact_frame + (next_own - next_start)
    column = start_n + tl.arange(0, BLOCK_N)
    to_own = column < own_end
    to_next = (column >= next_start) & (column < next_end)
    target = compact + f.to(tl.int64) * compact_frame
    pixels = height * width
    pitch = width + 1
    m = tl.arange(0, BLOCK_M)

    if tl.program_id(1) * BLOCK_M >= pixels:
        clear_border(
            *(target, height, pitch, compact_distance, column, to_own, BLOCK_M, BLOCK_N),
            *(to_next, to_next_slot),
        )
        return

    # Pixels beyond the frame are computed from its last one and not stored.
    pixel = tl.program_id(1) * BLOCK_M + m
    inner = tl.minimum(pixel, pixels - 1)
    place = inner if TAPS == 1 else inner // width * (STRIDE * x_pitch) + inner % width * STRIDE
    rows = x + f.to(tl.int64) * x_frame + place * channels_in
    channel = tl.load(lists + f * list_stride + COUNTS + column, mask=column < columns, other=0)
    lines = weight + channel * (TAPS * channels_in)
    acc = zeros_for_sums(BLOCK_M, BLOCK_N, INT8)
    k0 = 0
    tap = 0
    across = 0
    offset = 0
    for _ in range(0, TAPS * tl.cdiv(channels_in, BLOCK_K)):
        k = k0 + tl.arange(0, BLOCK_K)
        pointers, inside = shifted(
            rows, offset, k, t, frames, forward * FOLD, backward * FOLD, x_frame, SHIFT
        )
        b_pointers = lines[None, :] + (tap * channels_in + k)[:, None]
        if EVEN:
            a = tl.load(pointers, mask=inside, other=0)
            b = tl.load(b_pointers)
        else:
            real = k < channels_in
            a = tl.load(pointers, mask=inside & real[None, :], other=0)
            b = tl.load(b_pointers, mask=real[:, None], other=0)
        acc = multiply(a, b, acc, INT8)
        if TAPS == 1:
            k0 += BLOCK_K
        else:  # taps are innermost: most of what they read was read before
            tap += 1
            across += 1
            offset += channels_in
            if across == 3:
                across = 0
                offset += (x_pitch - 3) * channels_in
                if tap == TAPS:
                    tap = 0
                    offset = 0
                    k0 += BLOCK_K
    value = real_value(acc, scale, channel, column < columns, True, INT8)
    value = value + tl.load(bias + channel)[None, :]
    if compact.dtype.element_ty == tl.float16:
        # What lies in a padding slot meets a row of zeros; infinity would make it NaN.
        value = tl.minimum(value, 65504.0)
    value = rectified(value, compact, INT8)
    seen = (pixel < pixels)[:, None]
    q = (pixel // width + 1) * pitch + pixel % width + 1
    p = target + (q * compact_distance)[:, None] + column[None, :]
    if start_n < own_end:
        tl.store(p, value, mask=seen & to_own[None, :])
    if (start_n + BLOCK_N > next_start) & (next_end > next_start):
        tl.store(p + to_next_slot, value, mask=seen & to_next[None, :])
