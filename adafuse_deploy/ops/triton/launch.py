"""Running the kernels on PyTorch tensors: on a GPU, or on the CPU in Triton's interpreter."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from adafuse_deploy.core.sizes import ceil_div, round_up
from adafuse_deploy.ops.triton import tiles
from adafuse_deploy.ops.triton.channels import compact_inputs, list_outputs
from adafuse_deploy.ops.triton.conv import conditional_conv
from adafuse_deploy.ops.triton.weights import pack_weights


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    policy: Tensor | None,
    input_policy: Tensor | None,
    stride: list[int],
    padding: list[int],
    tile: str | None = None,
) -> Tensor:
    """Run a gated convolution, or with ``policy`` None one that only skips inputs.

    Args:
        x: (N * T, Cin, H, W), float16, bfloat16 or float32, contiguous in either memory format
            (channels last is fast; anything else is copied).
        weight: (Cout, Cin, kH, kW).
        bias: (Cout,).
        policy: int32 (N, T, Cout), or None to compute all channels.
        input_policy: int32 (N, T, Cin), or None to read all channels.
        stride: per spatial axis.
        padding: per spatial axis, or top, left, bottom, right.
        tile: a name in ``tiles.TILES`` instead of the one that is chosen by shape.

    Returns:
        (N * T, Cout, H', W') in the memory format of ``x``.
    """
    either = policy if policy is not None else input_policy
    assert either is not None
    rows, channels_in, height, width = x.shape
    channels_out, _, kernel_h, kernel_w = weight.shape
    top, left, bottom, right = padding if len(padding) == 4 else (*padding, *padding)
    height_out = (height + top + bottom - kernel_h) // stride[0] + 1
    width_out = (width + left + right - kernel_w) // stride[1] + 1
    pixels, frames = height_out * width_out, either.shape[1]

    channels_last = _channels_last(x)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = x.contiguous(memory_format=layout)
    y = torch.empty(
        (rows, channels_out, height_out, width_out),
        dtype=x.dtype,
        device=x.device,
        memory_format=layout,
    )
    if not y.numel():
        return y
    packed = _packed(weight, skipping=input_policy is not None)
    x_frame, x_stride = x[0].numel(), channels_in if channels_last else height * width
    outputs = inputs = None
    if policy is not None:
        policy = policy.contiguous()
        outputs = policy.new_empty(rows, channels_out + 1)
        list_outputs[(rows,)](
            policy,
            outputs,
            frames,
            channels_out,
            BLOCK=tiles.LIST_BLOCK,
            num_warps=tiles.HELPER_WARPS,
        )
    if input_policy is not None:
        input_policy = input_policy.contiguous()
        inputs = input_policy.new_empty(rows, channels_in + 1)
        compact_stride = round_up(channels_in, tiles.PADDING)
        compact = x.new_empty(rows, height * width, compact_stride)
        compact_inputs[(ceil_div(height * width, tiles.COMPACT_M), rows)](
            x,
            input_policy,
            compact,
            inputs,
            frames,
            channels_in,
            height * width,
            x_frame,
            x_stride,
            compact_stride,
            CHANNELS_LAST=channels_last,
            BLOCK_M=tiles.COMPACT_M,
            BLOCK_C=tiles.COMPACT_C,
            PADDING=tiles.PADDING,
            num_warps=tiles.HELPER_WARPS,
        )
        x, x_frame, x_stride = compact, height * width * compact_stride, compact_stride
    sizes = tiles.TILES[8 * x.element_size()][tile or tiles.choose_tile(pixels, channels_out, rows)]
    grid = (ceil_div(channels_out, sizes.block_n), ceil_div(pixels, sizes.block_m), rows)
    conditional_conv[grid](
        x,
        packed,
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
        stride[0],
        stride[1],
        top,
        left,
        x_frame,
        x_stride,
        pixels * channels_out,
        channels_out if channels_last else pixels,
        GATED=policy is not None,
        SKIPPING=input_policy is not None,
        CHANNELS_LAST=channels_last,
        BLOCK_M=sizes.block_m,
        BLOCK_N=sizes.block_n,
        BLOCK_K=sizes.block_k,
        num_warps=sizes.warps,
        num_stages=sizes.stages(input_policy is not None),
    )
    return y


def _channels_last(x: Tensor) -> bool:
    """Whether channels are innermost; where both formats hold, as for one channel, they are."""
    return x.is_contiguous(memory_format=torch.channels_last)


_packs = WeakTensorKeyDictionary()
"""Per weight and order: its version when it was packed, and the packed weights."""


def _packed(weight: Tensor, *, skipping: bool) -> Tensor:
    """Return the weights as ``pack_weights`` orders them, from memory unless they have changed."""
    if weight.is_inference():  # does not tell when it changes
        return _pack(weight, skipping)
    packs: dict[bool, tuple[int, Tensor]] = _packs.setdefault(weight, {})
    if skipping not in packs or packs[skipping][0] != weight._version:
        packs[skipping] = weight._version, _pack(weight.detach(), skipping)
    return packs[skipping][1]


def _pack(weight: Tensor, skipping: bool) -> Tensor:
    weight = weight.contiguous()
    channels_out, channels_in, kernel_h, kernel_w = weight.shape
    packed = torch.empty_like(weight)
    pack_weights[(ceil_div(weight.numel(), tiles.PACK_BLOCK),)](
        weight,
        packed,
        channels_out,
        channels_in,
        kernel_h * kernel_w,
        SKIPPING=skipping,
        BLOCK=tiles.PACK_BLOCK,
        num_warps=tiles.HELPER_WARPS,
    )
    return packed
