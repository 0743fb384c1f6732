"""ResNet-18/34/50/101 (arXiv 1512.03385) with AdaFuse gates inside the residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.models.forward import ForwardPass, Policy
from adafuse_deploy.models.gate import PolicyNetworks
from adafuse_deploy.models.layers import ConvBN

DEPTHS = {  # residual blocks of each stage
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}


class ResidualBlock(nn.Module):
    """What basic and bottleneck blocks share: shift, gates and shortcut.

    The temporal shift applies to the first convolution and the gate and, if ``config.shift_place``
    is "convolutions", to the convolution on a downsampling shortcut; never to an identity.
    """

    expansion: int

    def __init__(
        self,
        config: ModelConfig,
        in_channels: int,
        channels: int,
        stride: int,
        policies: PolicyNetworks | None,
        index: int,
        name: str,
    ) -> None:
        super().__init__()
        self.shift = config.temporal_shift if index % config.shift_every == 0 else "none"
        self.shift_div = config.shift_div
        self.shift_shortcut = config.shift_place == "convolutions"
        out_channels = channels * self.expansion
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = ConvBN(in_channels, out_channels, 1, stride)
        first, second = f"{name}.gate1", f"{name}.gate2"
        widths = [config.gate_channels.get(gate, channels) for gate in (first, second)]
        self.gate1 = self.gate2 = None
        if policies is not None and first not in config.plain_gates:
            self.gate1 = policies.make(in_channels, channels, widths[0])
        if policies is not None and config.dense_gates and second not in config.plain_gates:
            self.gate2 = policies.make(widths[0], channels, widths[1])
        self.make_convolutions(in_channels, widths, channels, stride)

    def make_convolutions(
        self, in_channels: int, widths: Sequence[int], channels: int, stride: int
    ) -> None:
        """Set the block's convolutions.

        Args:
            in_channels: of the block's input.
            widths: channels that the gates decide over, where there are gates.
            channels: those of the block that was not pruned.
            stride: of the block.
        """
        raise NotImplementedError

    def forward(self, x: Tensor, run: ForwardPass) -> Tensor:
        shifted = run.shift(x, self.shift, self.shift_div)
        first = None if self.gate1 is None else run.gate(self.gate1, shifted)
        y = self.residual(shifted, run, first)
        if self.downsample is not None:
            x = run.conv(shifted if self.shift_shortcut else x, self.downsample, relu=False)
        return (y + x).relu()

    def residual(self, x: Tensor, run: ForwardPass, first: Policy | None) -> Tensor:
        """Run the block's convolutions, the first of them under the decisions ``first``."""
        raise NotImplementedError

    def _second(self, y: Tensor, run: ForwardPass) -> Policy | None:
        return None if self.gate2 is None else run.gate(self.gate2, y)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions; a dense second gate stands before the residual sum, without ReLU."""

    expansion = 1

    def make_convolutions(
        self, in_channels: int, widths: Sequence[int], channels: int, stride: int
    ) -> None:
        self.conv1 = ConvBN(in_channels, widths[0], 3, stride)
        self.conv2 = ConvBN(widths[0], channels, 3)

    def residual(self, x: Tensor, run: ForwardPass, first: Policy | None) -> Tensor:
        y = run.conv(x, self.conv1, output=first)
        return run.conv(y, self.conv2, relu=False, output=self._second(y, run), input=first)


class Bottleneck(ResidualBlock):
    """1x1, 3x3 (with the stride) and 1x1 convolutions; a dense second gate follows the 3x3."""

    expansion = 4

    def make_convolutions(
        self, in_channels: int, widths: Sequence[int], channels: int, stride: int
    ) -> None:
        self.conv1 = ConvBN(in_channels, widths[0], 1)
        self.conv2 = ConvBN(widths[0], widths[1], 3, stride)
        self.conv3 = ConvBN(widths[1], channels * self.expansion, 1)

    def residual(self, x: Tensor, run: ForwardPass, first: Policy | None) -> Tensor:
        y = run.conv(x, self.conv1, output=first)
        second = self._second(y, run)
        y = run.conv(y, self.conv2, output=second, input=first)
        return run.conv(y, self.conv3, relu=False, input=second)


class ResNet(nn.Module):
    """Frames (N * T, 3, H, W) to feature maps (N * T, ``channels``, H / 32, W / 32)."""

    adaptive_pool = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        small = config.backbone in ("resnet18", "resnet34")
        block = BasicBlock if small else Bottleneck
        policies = PolicyNetworks(config)
        base = max(8, round(64 * config.width))
        self.conv1 = ConvBN(3, base, 7, 2)
        in_channels = base
        for stage, depth in enumerate(config.depths or DEPTHS[config.backbone], 1):
            channels = base << (stage - 1)
            gates = policies if stage in config.gated_stages else None
            blocks = nn.ModuleList()
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                name = f"layer{stage}.{index}"
                blocks.append(block(config, in_channels, channels, stride, gates, index, name))
                in_channels = channels * block.expansion
            setattr(self, f"layer{stage}", blocks)
        self.channels = in_channels

    def forward(self, x: Tensor, run: ForwardPass) -> Tensor:
        x = F.max_pool2d(run.conv(x, self.conv1), 3, 2, 1)
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            for block in self.get_submodule(stage).children():
                x = block(x, run)
        return x
