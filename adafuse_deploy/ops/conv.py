"""PyTorch operators ``adafuse::gated_conv`` and ``adafuse::skip_conv``.

Frames are flattened batch-major: row ``n * T + t`` is frame t of clip n.  Policies are int32
(N, T, C) of KEEP/REUSE/SKIP.  These are the reference semantics of the operator domain: they
compute every channel and mask, so their value is correctness, not speed.  On GPUs
the kernels of :mod:`adafuse_deploy.ops.triton` take their place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.ops import triton as gpu_kernels


def shift_frames(clips: Tensor, by: int) -> Tensor:
    """Give every frame the values of the one ``by`` (1 or -1) before it, zeros beyond the clip.

    Args:
        clips: (N, T, ...).
        by: 1 for the previous frame's values, -1 for the next one's.
    """
    kept = clips[:, :-1] if by > 0 else clips[:, 1:]
    ends = (1, 0) if by > 0 else (0, 1)
    return F.pad(kept, (0, 0) * (clips.ndim - 2) + ends)


def previous_frame(y: Tensor, frames: int) -> Tensor:
    """Return each frame's predecessor inside its clip, zeros for the first.

    Args:
        y: (N * T, ...).
        frames: T.
    """
    return shift_frames(y.unflatten(0, (-1, frames)), 1).flatten(0, 1)


def fuse(y: Tensor, previous: Tensor, policy: Tensor) -> Tensor:
    """Return what the next layer sees: this frame's channel, the previous frame's, or zero.

    Args:
        y: raw activations (N * T, C, H, W).
        previous: those of each frame's predecessor.
        policy: int (N, T, C) of KEEP/REUSE/SKIP.
    """
    action = policy.flatten(0, 1)[:, :, None, None]
    reused = torch.where(action == REUSE, previous, 0.0)
    return torch.where(action == KEEP, y, reused.to(y.dtype))


@torch.library.custom_op("adafuse::gated_conv", mutates_args=())
def gated_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    policy: Tensor,
    input_policy: Tensor | None,
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """Convolve and fuse: only channels kept now or reused by the next frame are needed.

    Args:
        x: (N * T, Cin, H, W), float.
        weight: (Cout, Cin, kH, kW).
        bias: (Cout,).
        policy: int32 (N, T, Cout).
        input_policy: int32 (N, T, Cin) promising that skipped input channels (and reused ones of
            the first frame) are zero, or None.
        stride, padding: per spatial axis.

    Returns:
        (N * T, Cout, H', W').
    """
    return _conv_and_fuse(x, weight, bias, policy, stride, padding)


def _conv_and_fuse(
    x: Tensor, weight: Tensor, bias: Tensor, policy: Tensor, stride: list[int], padding: list[int]
) -> Tensor:
    y = F.conv2d(x, weight, bias, stride, padding)
    return fuse(y, previous_frame(y, policy.shape[1]), policy)


@gated_conv.register_kernel("cuda")
def gated_conv_on_gpu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    policy: Tensor,
    input_policy: Tensor | None,
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """Run :func:`gated_conv` by our kernels where they serve."""
    if not gpu_kernels.serve(x):
        return _conv_and_fuse(x, weight, bias, policy, stride, padding)
    from adafuse_deploy.ops.triton.launch import convolve

    return convolve(x, weight, bias, policy, input_policy, stride, padding)


@gated_conv.register_fake
def _(x, weight, bias, policy, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    return F.conv2d(x, weight, bias, stride, padding)


@torch.library.custom_op("adafuse::skip_conv", mutates_args=())
def skip_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    input_policy: Tensor,
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """Convolve an input whose skipped channels are zero and need not be read.

    Args and result as in :func:`gated_conv`; all output channels are computed.
    """
    return F.conv2d(x, weight, bias, stride, padding)


@skip_conv.register_kernel("cuda")
def skip_conv_on_gpu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    input_policy: Tensor,
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """Run :func:`skip_conv` by our kernels where they serve."""
    if not gpu_kernels.serve(x):
        return F.conv2d(x, weight, bias, stride, padding)
    from adafuse_deploy.ops.triton.launch import convolve

    return convolve(x, weight, bias, None, input_policy, stride, padding)


@skip_conv.register_fake
def _(x, weight, bias, input_policy, stride, padding):  # type: ignore[no-untyped-def]
    return F.conv2d(x, weight, bias, stride, padding)
