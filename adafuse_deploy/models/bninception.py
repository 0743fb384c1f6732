"""BN-Inception (arXiv 1502.03167) with one AdaFuse gate per inception block.

A gate decides over the block's whole concatenated output, the channels that a pooling branch
passes through included, from the pooled input of the block.  What it spares: channels of each
branch's last convolution, and inputs of the next block's first convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.core.config import ModelConfig
from adafuse_deploy.models.forward import ForwardPass, Policy
from adafuse_deploy.models.gate import PolicyNetworks
from adafuse_deploy.models.layers import ConvBN


@dataclass(frozen=True)
class BlockShape:
    """Channel counts of one block.  A block without ``direct`` halves the resolution.

    Attributes:
        name: the paper's name of the block.
        direct: outputs of the 1x1 branch, or 0.
        single: (reduce, outputs) of the 3x3 branch.
        double: (reduce, outputs) of the branch with two 3x3 convolutions.
        pool: "avg" or "max".
        project: outputs of the convolution behind the pooling, or 0 to pass channels through.
    """

    name: str
    direct: int
    single: tuple[int, int]
    double: tuple[int, int]
    pool: str
    project: int


BLOCKS = (
    BlockShape("3a", 64, (64, 64), (64, 96), "avg", 32),
    BlockShape("3b", 64, (64, 96), (64, 96), "avg", 64),
    BlockShape("3c", 0, (128, 160), (64, 96), "max", 0),
    BlockShape("4a", 224, (64, 96), (96, 128), "avg", 128),
    BlockShape("4b", 192, (96, 128), (96, 128), "avg", 128),
    BlockShape("4c", 160, (128, 160), (128, 160), "avg", 128),
    BlockShape("4d", 96, (128, 192), (160, 192), "avg", 128),
    BlockShape("4e", 0, (128, 192), (192, 256), "max", 0),
    BlockShape("5a", 352, (192, 320), (160, 224), "avg", 128),
    BlockShape("5b", 352, (192, 320), (192, 224), "max", 128),
)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvBN:
    """Return a convolution of BN-Inception: with bias, and 90 % of a batch in running statistics.

    That momentum comes from the Caffe network, where 0.9 meant what is kept.
    """
    return ConvBN(inputs, outputs, kernel, stride, bias=True, momentum=0.9)


class InceptionBlock(nn.Module):
    """Up to four branches side by side, concatenated in the order 1x1, 3x3, double 3x3, pool."""

    def __init__(
        self, shape: BlockShape, in_channels: int, policies: PolicyNetworks | None
    ) -> None:
        super().__init__()
        self.pool = shape.pool
        self.stride = 1 if shape.direct else 2

        self.direct = conv(in_channels, shape.direct, 1) if shape.direct else None
        self.single_reduce = conv(in_channels, shape.single[0], 1)
        self.single = conv(*shape.single, 3, self.stride)
        self.double_reduce = conv(in_channels, shape.double[0], 1)
        self.double1 = conv(*shape.double, 3)
        self.double2 = conv(shape.double[1], shape.double[1], 3, self.stride)
        self.project = conv(in_channels, shape.project, 1) if shape.project else None
        passed = shape.project or in_channels
        self.channels = shape.direct + shape.single[1] + shape.double[1] + passed
        self.gate = None if policies is None else policies.make(in_channels, self.channels)

    def forward(
        self, x: Tensor, run: ForwardPass, input: Policy | None
    ) -> tuple[Tensor, Policy | None]:
        """Return the block's (fused) output and the decisions that fused it."""
        policy = None if self.gate is None else run.gate(self.gate, x)
        branches: list[Tensor] = []

        def decisions(channels: int) -> Policy | None:
            done = sum(branch.shape[1] for branch in branches)
            return None if policy is None else policy.slice(done, done + channels)

        def last(y: Tensor, layer: ConvBN, input: Policy | None = None) -> None:
            output = decisions(layer.conv.out_channels)
            branches.append(run.conv(y, layer, output=output, input=input))

        if self.direct is not None:
            last(x, self.direct, input)
        last(run.conv(x, self.single_reduce, input=input), self.single)
        y = run.conv(x, self.double_reduce, input=input)
        last(run.conv(y, self.double1), self.double2)
        pooled = self._pool(x, run)
        if self.project is not None:
            last(pooled, self.project, input)
        else:
            passed = decisions(x.shape[1])
            branches.append(pooled if passed is None else run.fuse(pooled, passed))
        return torch.cat(branches, 1), policy

    def _pool(self, x: Tensor, run: ForwardPass) -> Tensor:
        if self.pool == "avg":
            return run.average_pool(x, self)
        if self.stride == 2:
            return F.max_pool2d(x, 3, 2, ceil_mode=True)
        return F.max_pool2d(x, 3, 1, 1)


class BNInception(nn.Module):
    """Frames (N * T, 3, H, W) to feature maps (N * T, ``channels``, H / 32, W / 32)."""

    adaptive_pool = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        policies = PolicyNetworks(config)
        self.conv1 = conv(3, 64, 7, 2)
        self.conv2_reduce = conv(64, 64, 1)
        self.conv2 = conv(64, 192, 3)
        self.channels = 192
        self.blocks = nn.ModuleDict()
        for shape in BLOCKS:
            gates = policies if int(shape.name[0]) in config.gated_stages else None
            block = InceptionBlock(shape, self.channels, gates)
            self.blocks[shape.name] = block
            self.channels = block.channels

    def forward(self, x: Tensor, run: ForwardPass) -> Tensor:
        x = F.max_pool2d(run.conv(x, self.conv1), 3, 2, ceil_mode=True)
        x = run.conv(run.conv(x, self.conv2_reduce), self.conv2)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        policy: Policy | None = None
        for block in self.blocks.values():
            x, policy = block(x, run, policy)
        return x
