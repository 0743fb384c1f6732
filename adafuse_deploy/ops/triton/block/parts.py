"""What the convolutions of a block share: shifted loads, borders, rounding, sums over pixels.

INT8 kernels multiply s8 by s8, sum in s32 and scale per output channel into units of what they
store; the others sum in float32.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def shifted(rows, offset, k, t, frames, forward, backward, frame, SHIFT: tl.constexpr):
    """Return pointers to channels ``k`` of pixels ``rows`` under the temporal shift.

    Channels below ``forward`` lie in the next frame, those from there to ``backward`` in the one
    before.  ``offset`` is added to k; ``t`` is a number, or one per row ([:, None]).  Also returns
    which of them lie inside the clip.
    """
    if SHIFT:
        step = tl.where(k < forward, 1, tl.where(k < backward, -1, 0))
        there = t + step[None, :]
        pointers = rows[:, None] + (offset + k + step * frame)[None, :]
        inside = (there >= 0) & (there < frames)
    else:
        pointers = rows[:, None] + (offset + k)[None, :]
        inside = (k >= 0)[None, :]
    return pointers, inside


@triton.jit
def zeros_for_sums(BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, INT8: tl.constexpr):
    """Return the accumulators of a tile."""
    if INT8:
        zeros = tl.zeros((BLOCK_M, BLOCK_N), tl.int32)
    else:
        zeros = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    return zeros


@triton.jit
def multiply(a, b, acc, INT8: tl.constexpr):
    """Add a product to the accumulators; float32 by three TF32 products."""
    if INT8:
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    else:
        acc = tl.dot(a, b, acc, input_precision="tf32x3")
    return acc


@triton.jit
def real_value(acc, scale, index, mask, EVEN: tl.constexpr, INT8: tl.constexpr):
    """Return accumulators as float32, in units of what is stored."""
    if INT8:
        factor = tl.load(scale + index) if EVEN else tl.load(scale + index, mask=mask, other=0.0)
        acc = acc.to(tl.float32) * factor[None, :]
    return acc


@triton.jit
def rectified(value, like, INT8: tl.constexpr):
    """Apply ReLU and round to the type that ``like`` points to: INT8 to 0 ... 127, half to even."""
    value = tl.maximum(value, 0.0)
    if INT8:
        # Above 2^23 float32 has no fractions: adding and subtracting rounds.
        value = tl.minimum(value, 127.0) + 12582912.0 - 12582912.0
    return value.to(like.dtype.element_ty)


@triton.jit
def border_pixel(e, height, pitch):
    """Return where the e-th pixel of a frame's border lies; there are 2 * pitch + height + 1."""
    inner = tl.where(e < pitch + height, (e - pitch + 1) * pitch, e - height + height * pitch)
    return tl.where(e < pitch, e, inner)


@triton.jit
def clear_border(
    frame,
    height,
    pitch,
    distance,
    column,
    some,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    other=None,
    to_other=0,
):
    """Write zeros to a frame's border: to columns of the mask ``some``.

    Where there is a mask ``other``, also to its columns, ``to_other`` elements further on.
    """
    nothing = tl.zeros((BLOCK_M, BLOCK_N), frame.dtype.element_ty)
    pixels = 2 * pitch + height + 1
    for start in range(0, pixels, BLOCK_M):
        e = start + tl.arange(0, BLOCK_M)
        exists = (e < pixels)[:, None]
        q = border_pixel(e, height, pitch)
        p = frame + (q * distance)[:, None] + column[None, :]
        tl.store(p, nothing, mask=exists & some[None, :])
        if other is not None:
            tl.store(p + to_other, nothing, mask=exists & other[None, :])


@triton.jit
def shortcut_sums(
    acc,
    rows,
    weight,
    column,
    t,
    frames,
    channels_in,
    forward,
    backward,
    x_frame,
    columns_out,
    SHIFT: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Add the 1x1 convolution on the shortcut; ``weight`` is (Cout, Cin)."""
    lines = weight + column * channels_in
    for k0 in range(0, channels_in, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        pointers, inside = shifted(rows, 0, k, t, frames, forward, backward, x_frame, SHIFT)
        if EVEN:
            a = tl.load(pointers, mask=inside, other=0)
            b = tl.load(lines[None, :] + k[:, None])
        else:
            real = k < channels_in
            a = tl.load(pointers, mask=inside & real[None, :], other=0)
            some = real[:, None] & (column < columns_out)[None, :]
            b = tl.load(lines[None, :] + k[:, None], mask=some, other=0)
        acc = multiply(a, b, acc, INT8)
    return acc


@triton.jit
def add_bias(value, bias, column, columns_out, EVEN: tl.constexpr):
    """Add one number per column."""
    if EVEN:
        one = tl.load(bias + column)
    else:
        one = tl.load(bias + column, mask=column < columns_out, other=0.0)
    return value + one[None, :]


@triton.jit
def inside_result(valid, column, columns_out, EVEN: tl.constexpr):
    """Return which elements of a tile exist: ``valid`` rows, and columns less than all of them."""
    seen = valid[:, None]
    if not EVEN:
        seen = seen & (column < columns_out)[None, :]
    return seen


@triton.jit
def add_shortcut(
    acc,
    scale,
    bias,
    x_rows,
    identity,
    shortcut,
    shortcut_scale,
    residual_scale,
    seen,
    column,
    t,
    frames,
    channels_in,
    forward,
    backward,
    x_frame,
    columns_out,
    PROJECT: tl.constexpr,
    SHIFT: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Return the sum at a block's end as float32: the last convolution's, its bias, the shortcut.

    With PROJECT the shortcut is the convolution of ``x_rows`` (:func:`shortcut_sums`), else what
    the pointers ``identity`` of the tile give.
    """
    real = column < columns_out
    if PROJECT:
        more = zeros_for_sums(BLOCK_M, BLOCK_N, INT8) if INT8 else acc
        more = shortcut_sums(
            *(more, x_rows, shortcut, column, t, frames, channels_in, forward, backward),
            *(x_frame, columns_out, SHIFT, EVEN, INT8, BLOCK_K),
        )
        if INT8:
            value = real_value(acc, scale, column, real, EVEN, INT8)
            value += real_value(more, shortcut_scale, column, real, EVEN, INT8)
        else:
            value = more
    else:
        value = real_value(acc, scale, column, real, EVEN, INT8)
    value = add_bias(value, bias, column, columns_out, EVEN)
    if not PROJECT:
        kept = tl.load(identity, mask=seen, other=0).to(tl.float32)
        if INT8:
            kept = kept * residual_scale
        value += kept
    return value


@triton.jit
def sum_pixels(
    value,
    slot_of_row,
    valid,
    sums,
    column,
    columns_out,
    segments,
    SLOTS: tl.constexpr,
    EVEN: tl.constexpr,
    INT8: tl.constexpr,
):
    """Store sums over a tile's pixels, per frame that has pixels in it: (segments, Cout) float32.

    A product with ones where a row belongs to a frame: half as many instructions as reductions.
    SLOTS is a power of 2 from 16 on, not less than ``segments``.
    """
    slot = tl.arange(0, SLOTS)
    member = (slot[:, None] == slot_of_row[None, :]) & valid[None, :]
    ones = tl.where(member, 1.0, 0.0).to(value.dtype)
    if INT8:
        part = tl.dot(ones, value, out_dtype=tl.int32).to(tl.float32)
    else:
        part = tl.dot(ones, value, input_precision="tf32x3")
    some = (slot < segments)[:, None]
    if not EVEN:
        some = some & (column < columns_out)[None, :]
    tl.store(sums + slot[:, None] * columns_out + column[None, :], part, mask=some)
