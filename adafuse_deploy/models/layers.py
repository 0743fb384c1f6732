"""Convolution with batch normalisation, and the temporal shift."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adafuse_deploy.ops.conv import shift_frames


class ConvBN(nn.Module):
    """A convolution and the batch normalisation behind it, which :meth:`fold` can merge."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int | None = None,
        *,
        bias: bool = False,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=bias)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(out_channels, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y if self.bn is None else self.bn(y)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the one convolution equal to this pair in evaluation."""
        weight, bias, bn = self.conv.weight, self.conv.bias, self.bn
        if bn is None:
            assert bias is not None
            return weight, bias
        assert bn.running_var is not None and bn.running_mean is not None
        # float64: the merged weight should be the exact one rounded once.
        factor = bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps)
        shift = -bn.running_mean.double() if bias is None else bias.double() - bn.running_mean
        folded = weight.double() * factor[:, None, None, None]
        return folded.to(weight.dtype), (bn.bias.double() + shift * factor).to(weight.dtype)

    def geometry(self) -> tuple[list[int], list[int]]:
        """Return stride and padding along height and width."""
        return list(self.conv.stride), [int(size) for size in self.conv.padding]

    def fold(self) -> None:
        """Merge the normalisation into the convolution for good."""
        with torch.no_grad():
            weight, bias = self.folded()
            self.conv.weight = nn.Parameter(weight)
            self.conv.bias = nn.Parameter(bias)
            self.bn = None


def temporal_shift(x: Tensor, frames: int, kind: str, div: int) -> Tensor:
    """Move a part of the channels between neighbouring frames (TSM, arXiv 1811.08383).

    "bidirectional": the first C // div channels come from the next frame and the second C // div
    from the previous one.  "online": the first C // div come from the previous frame.  Beyond the
    clip's ends there are zeros.

    Args:
        x: (N * T, C, H, W).
        frames: T.
        kind: "none", "bidirectional" or "online".
        div: the inverse of the shifted part.
    """
    if kind == "none":
        return x
    fold = x.shape[1] // div
    clips = x.unflatten(0, (-1, frames))
    # Built from padded slices, never by assignment into a slice: exporters make constants of that.
    if kind == "online":
        parts = [shift_frames(clips[:, :, :fold], 1), clips[:, :, fold:]]
    else:
        parts = [
            shift_frames(clips[:, :, :fold], -1),
            shift_frames(clips[:, :, fold : 2 * fold], 1),
            clips[:, :, 2 * fold :],
        ]
    return torch.cat(parts, 2).flatten(0, 1)
