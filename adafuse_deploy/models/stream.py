"""The forward pass of streams: one frame at a time, with what earlier frames left as the state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adafuse_deploy.core.actions import KEEP, REUSE
from adafuse_deploy.core.errors import InputError
from adafuse_deploy.models.forward import ForwardPass, Policy
from adafuse_deploy.models.gate import Decide
from adafuse_deploy.models.layers import ConvBN
from adafuse_deploy.ops.stream_conv import stream_gated_conv


class StreamPass(ForwardPass):
    """One frame of N streams.

    Args:
        decide: how gates turn logits into (hard) policies.
        history: what the previous frame's pass left in ``state``; None, or zeros of the same
            shapes, at the beginning of the streams.

    Attributes:
        state: for the next frame's pass, in an order that depends on the network only.
        kinds: what each of them is, one word.
    """

    def __init__(self, decide: Decide, history: Sequence[Tensor] | None = None) -> None:
        super().__init__(1, decide)
        self.state: list[Tensor] = []
        self.kinds: list[str] = []
        self._history = history

    def previous(self, x: Tensor, kind: str) -> Tensor:
        """Return the previous frame's values of x (N, ...), and keep x for the next frame."""
        previous = self._recall(0, x, x.shape)
        self._keep(kind, x)
        return previous

    def gated_conv(
        self, x: Tensor, layer: ConvBN, policy: Policy, promise: Tensor | None
    ) -> Tensor:
        """Run a gated convolution that takes reused channels from the state."""
        if not policy.history:
            return super().gated_conv(x, layer, policy, promise)
        weight, bias = layer.folded()
        stride, padding = layer.geometry()
        sizes = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
        space = [(size + 2 * pad - kernel) // step + 1 for size, kernel, step, pad in sizes]
        channels = (x.shape[0], weight.shape[0])  # len() would be a constant of an exported graph
        y, raw, missing = stream_gated_conv(
            x,
            weight,
            bias,
            policy.values,
            self._recall(0, x, x.shape),
            self._recall(1, x, (*channels, *space)),
            self._recall(2, policy.values, channels),
            promise,
            None if promise is None else self._recall(3, promise, promise.shape),
            stride,
            padding,
        )
        self._keep("input", x)
        self._keep("convolution", raw)
        self._keep("missing", missing)
        if promise is not None:
            self._keep("promise", promise)
        return y

    def promise(self, input: Policy) -> Tensor:
        """Return which channels are zero: the skipped ones only, as no frame is a clip's first."""
        return torch.where(input.values == REUSE, KEEP, input.values)

    def shift(self, x: Tensor, kind: str, div: int) -> Tensor:
        """Take the first channels from the previous frame (online TSM).

        Raises:
            InputError: the shift also takes channels from the next frame.
        """
        if kind == "none":
            return x
        if kind == "bidirectional":
            raise InputError(
                "This network cannot run frame by frame: its bidirectional temporal shift needs "
                "the next frame; train it with temporal_shift 'online' (the tsm_online models), "
                "or run it on clips."
            )
        fold = x.shape[1] // div
        return torch.cat([self.previous(x[:, :fold], "shifted"), x[:, fold:]], 1)

    def recur(self, lstm: nn.LSTM, features: Tensor) -> Tensor:
        """Run one step of an LSTM."""
        shape = (features.shape[0], lstm.hidden_size)
        hidden, cell = (self._recall(place, features, shape)[None] for place in (0, 1))
        states, (hidden, cell) = lstm(features[:, None], (hidden, cell))
        self._keep("hidden", hidden[0])
        self._keep("cell", cell[0])
        return states[:, 0]

    def _recall(self, ahead: int, like: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the state of the place that is ``ahead`` of the next to be kept.

        At the beginning it is zeros of ``shape``, otherwise like the tensor ``like``.
        """
        if self._history is None:
            return like.new_zeros(shape)
        return self._history[len(self.state) + ahead]

    def _keep(self, kind: str, value: Tensor) -> None:
        self.kinds.append(kind)
        self.state.append(value)
