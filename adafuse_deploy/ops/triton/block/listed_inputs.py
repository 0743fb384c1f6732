"""The second convolution of a block: 3x3 over the listed input channels of compact frames."""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.block.lists import INPUTS
from adafuse_deploy.ops.triton.block.parts import (
    add_bias,
    add_shortcut,
    clear_border,
    inside_result,
    multiply,
    real_value,
    rectified,
    sum_pixels,
    zeros_for_sums,
)


@triton.jit
def nine_taps(
    rows,
    weight,
    listed,
    count,
    channels,
    column,
    columns_out,
    pitch,
    distance,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Return the sums of nine GEMMs whose A is shifted by whole pixels, in one flat loop.

    ``weight`` is (9, C + 1, Cout), row C zero.  Counters are carried and nothing is divided; the
    only mask of A cuts K at a multiple of 16 bytes, for whole loads.  Taps are innermost: most of
    what they read was read before.
    """
    acc = zeros_for_sums(BLOCK_M, BLOCK_N, INT8)
    kk = tl.arange(0, BLOCK_K)
    to_columns = weight + column
    k0 = 0
    tap = 0
    across = 0
    offset = 0
    tap_size = (channels + 1) * columns_out
    for _ in range(0, 9 * tl.cdiv(count, BLOCK_K)):
        k = k0 + kk
        a = tl.load(rows[:, None] + (offset + k)[None, :], mask=(k < count)[None, :], other=0)
        line = tap * tap_size + tl.load(listed + k) * columns_out
        if EVEN:
            b = tl.load(to_columns[None, :] + line[:, None])
        else:
            some = (column < columns_out)[None, :]
            b = tl.load(to_columns[None, :] + line[:, None], mask=some, other=0)
        acc = multiply(a, b, acc, INT8)
        tap += 1
        across += 1
        offset += distance
        if across == 3:
            across = 0
            offset += (pitch - 3) * distance
            if tap == 9:
                tap = 0
                offset = 0
                k0 += BLOCK_K
    return acc


@triton.jit
def conv_listed_inputs(
    compact,
    weight,
    scale,
    bias,
    y,
    lists,
    channels,
    height,
    width,
    pitch,
    distance,
    compact_frame,
    inputs_at,
    list_stride,
    STRIDE: tl.constexpr,
    UNIT: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """The middle of a bottleneck: convolve, ReLU, into dense frames (N * T, H', W', C).

    ``height`` and ``width`` are those of the result; ``pitch`` and ``distance`` those of the
    compact frames.  Grid: (ceil(C / BLOCK_N), ceil(H' * W' / BLOCK_M), N * T).
    """
    f = tl.program_id(2)
    pixels = height * width
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    inner = tl.minimum(pixel, pixels - 1)
    place = inner // width * (STRIDE * pitch) + inner % width * STRIDE
    rows = compact + f.to(tl.int64) * compact_frame + place * distance
    mine = lists + f * list_stride
    count = tl.load(mine + INPUTS) * UNIT
    acc = nine_taps(
        *(rows, weight, mine + inputs_at, count, channels, column, channels, pitch, distance),
        *(EVEN, INT8, BLOCK_M, BLOCK_N, BLOCK_K),
    )
    real = column < channels
    value = real_value(acc, scale, column, real, EVEN, INT8)
    value = add_bias(value, bias, column, channels, EVEN)
    seen = inside_result(pixel < pixels, column, channels, EVEN)
    p = y + f.to(tl.int64) * (pixels * channels) + (pixel * channels)[:, None] + column[None, :]
    tl.store(p, rectified(value, y, INT8), mask=seen)


@triton.jit
def conv_listed_inputs_end(
    compact,
    weight,
    scale,
    bias,
    x,
    shortcut,
    shortcut_scale,
    y,
    sums,
    lists,
    frames,
    channels_in,
    forward,
    backward,
    channels,
    height,
    width,
    distance,
    compact_frame,
    inputs_at,
    list_stride,
    x_pitch,
    x_frame,
    residual_scale,
    STRIDE: tl.constexpr,
    PROJECT: tl.constexpr,
    SHIFT: tl.constexpr,
    FOLD: tl.constexpr,
    UNIT: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """The end of a basic block: convolve, add the shortcut, ReLU, sum over pixels.

    ``x`` and ``y`` are bordered frames of Cin and C channels.  With PROJECT the shortcut is a 1x1
    convolution of stride STRIDE, ``shortcut`` (C, Cin), else ``x`` itself.  ``sums`` is
    (N * T, tiles, C).  Grid: (ceil(C / BLOCK_N), tiles + 1, N * T), tiles = ceil(H * W / BLOCK_M);
    the last row of programs writes the border of ``y``.
    """
    f = tl.program_id(2)
    tile = tl.program_id(1)
    pixels = height * width
    pitch = width + 1
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    real = column < channels
    target = y + f.to(tl.int64) * (((height + 2) * pitch + 1) * channels)
    m = tl.arange(0, BLOCK_M)
    if tile * BLOCK_M >= pixels:
        clear_border(target, height, pitch, channels, column, real, BLOCK_M, BLOCK_N)
        return
    pixel = tile * BLOCK_M + m
    valid = pixel < pixels
    inner = tl.minimum(pixel, pixels - 1)
    h, w = inner // width, inner % width
    rows = compact + f.to(tl.int64) * compact_frame + (h * pitch + w) * distance
    mine = lists + f * list_stride
    count = tl.load(mine + INPUTS) * UNIT
    acc = nine_taps(
        *(rows, weight, mine + inputs_at, count, channels, column, channels, pitch, distance),
        *(EVEN, INT8, BLOCK_M, BLOCK_N, BLOCK_K),
    )
    source = x + f.to(tl.int64) * x_frame
    x_rows = source + ((h * STRIDE + 1) * x_pitch + w * STRIDE + 1) * channels_in
    seen = inside_result(valid, column, channels, EVEN)
    identity = x_rows[:, None] + column[None, :]
    value = add_shortcut(
        *(acc, scale, bias, x_rows, identity, shortcut, shortcut_scale, residual_scale, seen),
        *(column, f % frames, frames, channels_in, forward * FOLD, backward * FOLD),
        *(x_frame, channels, PROJECT, SHIFT, EVEN, INT8, BLOCK_M, BLOCK_N, BLOCK_K),
    )
    result = rectified(value, y, INT8)
    at = ((h + 1) * pitch + w + 1) * channels
    tl.store(target + at[:, None] + column[None, :], result, mask=seen)
    part = sums + (f * (tl.num_programs(1) - 1) + tile) * channels
    sum_pixels(result, m * 0, valid, part, column, channels, 1, 16, EVEN, INT8)
