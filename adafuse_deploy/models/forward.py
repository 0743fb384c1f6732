"""One pass of frames through a network: decides, runs conditional layers, counts their cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adafuse_deploy.core.cost import ChannelGate, Layer
from adafuse_deploy.models.gate import Decide, PolicyNetwork
from adafuse_deploy.models.layers import ConvBN, temporal_shift
from adafuse_deploy.ops.conv import fuse, gated_conv, previous_frame, skip_conv


@dataclass(frozen=True)
class Policy:
    """The decisions of one gate, or those over a slice of its channels.

    Attributes:
        values: int32 (N, T, C) of actions (hard), or weights (N, T, C, 3) of them (soft).
        channels: where the values stand in the gate.
        history: whether the gate can reuse, that is, needs the previous frame.
    """

    values: Tensor
    channels: ChannelGate
    history: bool = True

    @property
    def soft(self) -> bool:
        """Whether gradients may flow through the values."""
        return self.values.is_floating_point()

    def slice(self, start: int, stop: int) -> Policy:
        """Return the decisions over channels ``start``...``stop - 1``."""
        first = self.channels.start
        where = replace(self.channels, start=first + start, stop=first + stop)
        return replace(self, values=self.values[:, :, start:stop], channels=where)

    def fuse(self, y: Tensor, previous: Tensor) -> Tensor:
        """Return this frame's, the previous frame's or zero activations, as decided.

        Args:
            y: raw activations (N * T, C, H, W).
            previous: those of each frame's predecessor.
        """
        if not self.soft:
            return fuse(y, previous, self.values)
        keep, reuse, _ = self.values.flatten(0, 1)[..., None, None, :].unbind(-1)
        return y * keep + previous * reuse


class ForwardPass:
    """What the layers of a network share while one batch of clips runs through it.

    Everything that looks at another frame goes through here, so that a stream can take the same
    network frame by frame: see :class:`adafuse_deploy.models.stream.StreamPass`.

    Attributes:
        frames: T.
        policies: the gates' decisions so far, in network order (hard or soft, see
            :data:`adafuse_deploy.models.gate.Decide`).
        layers: cost of the layers run so far; filled only when ``names`` is given.
    """

    def __init__(
        self, frames: int, decide: Decide, names: dict[nn.Module, str] | None = None
    ) -> None:
        self.frames = frames
        self.policies: list[Tensor] = []
        self.layers: list[Layer] = []
        self._decide = decide
        self._names = names

    def gate(self, network: PolicyNetwork, x: Tensor) -> Policy:
        """Let ``network`` decide over a layer from the block input x (N * T, C, H, W)."""
        for index, (linear, norm, _) in enumerate(network.layers()):
            self._count_linear(linear, f"{self._name(network)}.fc{index}", norm)
        features = network.pool(x)
        if network.history:
            features = torch.cat([self.previous(features, "features"), features], -1)
        values = network.policy(self._decide(network(features, self.frames)))
        self.policies.append(values)
        channels = ChannelGate(len(self.policies) - 1, 0, network.channels)
        return Policy(values, channels, network.history)

    def conv(
        self,
        x: Tensor,
        layer: ConvBN,
        *,
        relu: bool = True,
        output: Policy | None = None,
        input: Policy | None = None,
    ) -> Tensor:
        """Run convolution, normalisation, ReLU and fusion; conditionally under hard policies.

        Args:
            x: (N * T, Cin, H, W).
            layer: the convolution.
            relu: apply ReLU (before the fusion; it commutes with a hard one).
            output: decisions over the output channels.
            input: decisions that made x, so that skipped channels need not be read.
        """
        hard = next((p for p in (output, input) if p is not None and not p.soft), None)
        if hard is None:
            y = layer(x)
            y = y.relu() if relu else y
            y = y if output is None else self.fuse(y, output)
        else:
            promise = None if input is None else self.promise(input)
            if output is not None:
                y = self.gated_conv(x, layer, output, promise)
            else:
                assert promise is not None
                y = skip_conv(x, *layer.folded(), promise, *layer.geometry())
            y = y.relu() if relu else y
        self._count_conv(layer, y, output, input)
        return y

    def gated_conv(
        self, x: Tensor, layer: ConvBN, policy: Policy, promise: Tensor | None
    ) -> Tensor:
        """Run a gated convolution; arguments as for :func:`adafuse_deploy.ops.conv.gated_conv`."""
        return gated_conv(x, *layer.folded(), policy.values, promise, *layer.geometry())

    def promise(self, input: Policy) -> Tensor:
        """Return int32 (N, T, C): which channels of a fused activation need not be read."""
        return input.values

    def fuse(self, y: Tensor, policy: Policy) -> Tensor:
        """Fuse activations y (N * T, C, H, W) that no gated convolution made."""
        previous = self.previous(y, "activations") if policy.history else torch.zeros_like(y)
        return policy.fuse(y, previous)

    def shift(self, x: Tensor, kind: str, div: int) -> Tensor:
        """Shift channels between neighbouring frames, see :func:`temporal_shift`."""
        return temporal_shift(x, self.frames, kind, div)

    def recur(self, lstm: nn.LSTM, features: Tensor) -> Tensor:
        """Run an LSTM over the frames: (N * T, C) to its hidden states (N * T, H)."""
        hidden, inputs = lstm.hidden_size, lstm.input_size
        if self._names is not None:
            macs = 4 * hidden * (inputs + hidden)
            self.layers.append(Layer(self._name(lstm), "linear", macs))
        return lstm(features.unflatten(0, (-1, self.frames)))[0].flatten(0, 1)

    def previous(self, x: Tensor, kind: str) -> Tensor:
        """Return each frame's predecessor of x (N * T, ...), zeros for the first.

        Args:
            kind: what the values are, one word.
        """
        return previous_frame(x, self.frames)

    def linear(self, x: Tensor, layer: nn.Linear) -> Tensor:
        """Run a linear layer over frames' features (N * T, C)."""
        self._count_linear(layer, self._name(layer), policy=False)
        return layer(x)

    def pool(self, x: Tensor, *, adaptive: bool) -> Tensor:
        """Average over space: (N * T, C, H, W) to (N * T, C).

        Args:
            x: feature maps.
            adaptive: the public code has an adaptive pooling here, whose additions its report
                counts; of one with fixed windows it counts the outputs only.
        """
        channels, height, width = x.shape[1:]
        self._count_pool("avgpool", channels * (height * width + 1 if adaptive else 1))
        return x.mean((2, 3))

    def average_pool(self, x: Tensor, module: nn.Module) -> Tensor:
        """Average 3x3 windows for ``module``, with zeros beyond the borders: the shape stays."""
        self._count_pool(f"{self._name(module)}.pool", x[0].numel())
        return F.avg_pool2d(x, 3, 1, 1)

    def _name(self, module: nn.Module) -> str:
        return "" if self._names is None else self._names[module]

    def _count_pool(self, name: str, cost: int) -> None:
        if self._names is not None:
            self.layers.append(Layer(name, "pool", 0, norm_ops=cost))

    def _count_conv(
        self, layer: ConvBN, y: Tensor, output: Policy | None, input: Policy | None
    ) -> None:
        if self._names is None:
            return
        conv, values = layer.conv, y[0].numel()
        taps = conv.weight[0].numel()
        self.layers.append(
            Layer(
                self._name(layer),
                "conv",
                values * taps,
                bias_ops=0 if conv.bias is None else values,
                norm_ops=0 if layer.bn is None else 2 * values,
                output=None if output is None else output.channels,
                input=None if input is None else input.channels,
            )
        )

    def _count_linear(
        self,
        layer: nn.Linear,
        name: str,
        bn: nn.BatchNorm1d | None = None,
        *,
        policy: bool = True,
    ) -> None:
        if self._names is None:
            return
        norm = 0 if bn is None else 2 * bn.num_features
        macs = layer.in_features * layer.out_features
        self.layers.append(Layer(name, "linear", macs, norm_ops=norm, policy=policy))
