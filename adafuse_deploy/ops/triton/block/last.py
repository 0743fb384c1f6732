"""The last convolution of a bottleneck: 1x1, shortcut, ReLU, sums over pixels."""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.block.parts import (
    add_shortcut,
    inside_result,
    multiply,
    rectified,
    sum_pixels,
    zeros_for_sums,
)


@triton.jit
def conv_last(
    x,
    middle,
    weight,
    scale,
    bias,
    shortcut,
    shortcut_scale,
    y,
    sums,
    frames,
    channels_in,
    forward,
    backward,
    channels,
    channels_out,
    width_in,
    width,
    pixels,
    all_pixels,
    x_frame,
    segments,
    residual_scale,
    STRIDE: tl.constexpr,
    PROJECT: tl.constexpr,
    SHIFT: tl.constexpr,
    FOLD: tl.constexpr,
    SLOTS: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Convolve, add the shortcut, ReLU, sum over pixels; frames have no border.

    Nothing is listed here, so tiles run over the pixels of all frames.  ``weight`` is (Cout, C).
    With PROJECT the shortcut is a 1x1 convolution, ``shortcut`` (Cout, Cin), of ``x`` under the
    temporal shift, else ``x`` itself.  ``sums`` is (tiles, segments, Cout): row s of a tile belongs
    to the tile's first frame + s; each is written by one program, so sums do not depend on timing.

    Grid: (ceil(Cout / BLOCK_N), ceil(N * T * H' * W' / BLOCK_M)).
    """
    tile = tl.program_id(1)
    column = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    real = column < channels_out
    pixel = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    valid = pixel < all_pixels
    inner = tl.minimum(pixel, all_pixels - 1)
    rows = middle + inner.to(tl.int64) * channels
    lines = weight + column * channels
    acc = zeros_for_sums(BLOCK_M, BLOCK_N, INT8)
    for k0 in range(0, channels, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        if EVEN:
            a = tl.load(rows[:, None] + k[None, :])
            b = tl.load(lines[None, :] + k[:, None])
        else:
            some = k < channels
            a = tl.load(rows[:, None] + k[None, :], mask=some[None, :], other=0)
            b = tl.load(lines[None, :] + k[:, None], mask=some[:, None] & real[None, :], other=0)
        acc = multiply(a, b, acc, INT8)
    f = inner // pixels
    x_rows = x
    if PROJECT:
        at = inner % pixels
        place = at // width * (STRIDE * width_in) + at % width * STRIDE
        x_rows = x + f.to(tl.int64) * x_frame + place * channels_in
    seen = inside_result(valid, column, channels_out, EVEN)
    offset = (pixel.to(tl.int64) * channels_out)[:, None] + column[None, :]
    value = add_shortcut(
        *(acc, scale, bias, x_rows, x + offset, shortcut, shortcut_scale, residual_scale, seen),
        *(column, (f % frames)[:, None], frames, channels_in, forward * FOLD, backward * FOLD),
        *(x_frame, channels_out, PROJECT, SHIFT, EVEN, INT8, BLOCK_M, BLOCK_N, BLOCK_K),
    )
    result = rectified(value, y, INT8)
    tl.store(y + offset, result, mask=seen)
    part = sums + tile * segments * channels_out
    slot = f - tile * BLOCK_M // pixels
    sum_pixels(result, slot, valid, part, column, channels_out, segments, SLOTS, EVEN, INT8)
