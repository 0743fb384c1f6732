"""PyTorch operator ``adafuse::stream_gated_conv``: a gated convolution of one frame per stream.

The reference semantics of StreamGatedConv in the operator domain.  Like its siblings in
:mod:`adafuse_deploy.ops.conv` it computes every channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adafuse_deploy.ops.conv import fuse


@torch.library.custom_op("adafuse::stream_gated_conv", mutates_args=())
def stream_gated_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    policy: Tensor,
    x_previous: Tensor,
    r_previous: Tensor,
    missing: Tensor,
    input_policy: Tensor | None,
    previous_input_policy: Tensor | None,
    stride: list[int],
    padding: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve the streams' frames and fuse them with the frames before.

    A reused channel that was not computed for the previous frame is computed now, from what that
    frame's input was.

    Args:
        x: (N, Cin, H, W), this frame of every stream.
        weight: (Cout, Cin, kH, kW).
        bias: (Cout,).
        policy: int32 (N, 1, Cout) of KEEP/REUSE/SKIP.
        x_previous: the previous frame's x; zeros at a stream's beginning.
        r_previous: (N, Cout, H', W'), the previous frame's convolution; zeros at the beginning.
        missing: int32 (N, Cout), not zero where ``r_previous`` was not computed.
        input_policy: int32 (N, 1, Cin): channels of x that are SKIP are zero; or None.
        previous_input_policy: the same of ``x_previous``, or None.
        stride, padding: per spatial axis.

    Returns:
        y (N, Cout, H', W'), what the next layer sees; and for the next frame this frame's
        convolution and int32 (N, Cout) which of its channels are missing (here none).
    """
    raw = F.conv2d(x, weight, bias, stride, padding)
    if missing.any():
        late = F.conv2d(x_previous, weight, bias, stride, padding)
        r_previous = torch.where(missing[:, :, None, None] != 0, late, r_previous)
    return fuse(raw, r_previous, policy), raw, torch.zeros_like(missing)


@stream_gated_conv.register_fake
def _(x, weight, bias, policy, x_previous, r_previous, missing, *rest):  # type: ignore[no-untyped-def]
    stride, padding = rest[-2:]
    raw = F.conv2d(x, weight, bias, stride, padding)
    return torch.empty_like(raw), raw, torch.empty_like(missing)
