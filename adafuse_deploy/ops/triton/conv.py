"""The conditional convolution: an implicit GEMM over listed channels.

A program computes BLOCK_M pixels of one frame by BLOCK_N of its listed output channels and walks
over taps times blocks of input channels in one flat loop, because only innermost loops are
pipelined and a 3x3 convolution of 64 channels has a single block per tap.

- Frames have lists of their own, so a tile never spans two frames.
- Tiles of output channels are the fastest axis of the grid: those that share pixels run at the
  same time and find them in the L2 cache; the weights, shared by all frames, stay there anyway.
- Tiles beyond the count of listed channels only write zeros and end.
- Gathering rows costs nothing if rows are contiguous: the weights' innermost axis is the one that
  is not gathered (:func:`.weights.pack_weights`).  With both sides conditional the output channels
  are gathered element by element, the slow case.
"""

from __future__ import annotations

import triton
import triton.language as tl

from adafuse_deploy.ops.triton.channels import KEEP, REUSE, SKIP, load_actions


@triton.jit
def conditional_conv(
    x,
    weight,
    bias,
    y,
    policy,
    outputs,
    inputs,
    frames,
    channels_in,
    channels_out,
    height,
    width,
    height_out,
    width_out,
    kernel_h,
    kernel_w,
    stride_h,
    stride_w,
    pad_top,
    pad_left,
    x_frame,
    x_stride,
    y_frame,
    y_stride,
    GATED: tl.constexpr,
    SKIPPING: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Convolve; resolve history and zeros while writing.

    With GATED only the channels in ``outputs`` are computed.  A result goes to its own frame if
    kept and to the next one if reused there; what is neither becomes zero.  With SKIPPING, ``x`` is
    the result of :func:`.channels.compact_inputs` and ``inputs`` its list of channels.

    Grid: (ceil(Cout / BLOCK_N), ceil(H' * W' / BLOCK_M), N * T).  Distances are in elements;
    ``x_stride`` and ``y_stride`` are those between pixels if CHANNELS_LAST and between channels if
    not (the other one is 1); a compact ``x`` is always channels last.
    """
    row = tl.program_id(2)
    start_n = tl.program_id(0) * BLOCK_N
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    column = start_n + tl.arange(0, BLOCK_N)
    inside = pixel < height_out * width_out
    target = y + row.to(tl.int64) * y_frame

    if GATED:
        # Zeros: whatever list the tile works on, it also looks after channels start_n ... .
        action = load_actions(policy, row, channels_out, column, True)
        empty = (action == SKIP) | ((action == REUSE) & (row % frames == 0))
        empty = empty & (column < channels_out)
        if CHANNELS_LAST:
            offset = pixel[:, None] * y_stride + column[None, :]
        else:
            offset = column[None, :] * y_stride + pixel[:, None]
        zeros = tl.zeros((BLOCK_M, BLOCK_N), y.dtype.element_ty)
        tl.store(target + offset, zeros, mask=inside[:, None] & empty[None, :])
        listed = outputs + row * (channels_out + 1)
        count_n = tl.load(listed)
        if start_n >= count_n:
            return
        valid = column < count_n
        channel = tl.load(listed + 1 + column, mask=valid, other=0)
    else:
        valid = column < channels_out
        channel = column

    if SKIPPING:
        present = inputs + row * (channels_in + 1)
        count_k = tl.load(present)
        present += 1
    else:
        count_k = channels_in

    source = x + row.to(tl.int64) * x_frame
    top = pixel // width_out * stride_h - pad_top
    left = pixel % width_out * stride_w - pad_left
    blocks = tl.cdiv(count_k, BLOCK_K)
    result = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, kernel_h * kernel_w * blocks):
        tap = step // blocks
        k = (step - tap * blocks) * BLOCK_K + tl.arange(0, BLOCK_K)
        h = top + tap // kernel_w
        w = left + tap % kernel_w
        seen = inside & (h >= 0) & (h < height) & (w >= 0) & (w < width)
        position = h * width + w
        if SKIPPING:
            # Filled up with zeros: the mask need not cut through wide loads.
            a_offset = position[:, None] * x_stride + k[None, :]
            a = tl.load(source + a_offset, mask=seen[:, None], other=0.0)
            read = tl.load(present + k, mask=k < count_k, other=0)
            lines = tap * channels_in + read
            b_offset = lines[:, None] * channels_out + channel[None, :]
            b_mask = (k < count_k)[:, None] & valid[None, :]
        else:
            if CHANNELS_LAST:
                a_offset = position[:, None] * x_stride + k[None, :]
            else:
                a_offset = k[None, :] * x_stride + position[:, None]
            a_mask = seen[:, None] & (k < channels_in)[None, :]
            a = tl.load(source + a_offset, mask=a_mask, other=0.0)
            lines = channel * (kernel_h * kernel_w) + tap
            b_offset = lines[None, :] * channels_in + k[:, None]
            b_mask = (k < channels_in)[:, None] & valid[None, :]
        b = tl.load(weight + b_offset, mask=b_mask, other=0.0)
        # tf32x3: three tensor core products with almost the accuracy of float32; it only concerns
        # float32.  Plain TF32 would round to 10 bits and flip policies.
        result = tl.dot(a, b, result, input_precision="tf32x3")

    result += tl.load(bias + channel, mask=valid, other=0.0).to(tl.float32)[None, :]
    values = result.to(y.dtype.element_ty)
    if CHANNELS_LAST:
        offset = pixel[:, None] * y_stride + channel[None, :]
    else:
        offset = channel[None, :] * y_stride + pixel[:, None]
    mask = inside[:, None] & valid[None, :]
    if GATED:
        keep = load_actions(policy, row, channels_out, channel, valid) == KEEP
        followed = valid & (row % frames + 1 < frames)
        reuse = load_actions(policy, row + 1, channels_out, channel, followed) == REUSE
        tl.store(target + offset, values, mask=mask & keep[None, :])
        tl.store(target + y_frame + offset, values, mask=mask & reuse[None, :])
    else:
        tl.store(target + offset, values, mask=mask)
