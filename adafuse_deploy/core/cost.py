"""Multiply-accumulates of a clip under its policies, from a table of layers.  numpy only.

The table travels in the metadata of every exported graph, so the same figure comes out of PyTorch,
of a graph's policy outputs and of an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adafuse_deploy.core.actions import KEEP, REUSE, SKIP


@dataclass(frozen=True)
class ChannelGate:
    """Which channels of which gate decide over a layer's outputs or inputs.

    Attributes:
        gate: index of the gate in network order.
        start, stop: the layer's channels are channels ``start``...``stop - 1`` of that gate.
    """

    gate: int
    start: int
    stop: int


@dataclass(frozen=True)
class Layer:
    """The cost of one layer for one frame, and the gates that can spare a part of it.

    Attributes:
        name: the module's name in the network.
        kind: "conv", "linear" or "pool".
        macs: multiply-accumulates per frame when everything is computed.
        bias_ops: one addition per output value if there is a bias, else 0.
        norm_ops: operations of the normalisation that follows, or of the pooling itself, as the
            official report counts them.  Deployment folds normalisation away.
        output: the gate over the layer's output channels, or None.
        input: the gate over its input channels, or None.
        policy: whether the layer belongs to a policy network.
    """

    name: str
    kind: str
    macs: int
    bias_ops: int = 0
    norm_ops: int = 0
    output: ChannelGate | None = None
    input: ChannelGate | None = None
    policy: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; absent gates and zero counts are left out."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Layer:
        """Rebuild a layer from :meth:`to_dict`."""
        gates = {
            side: ChannelGate(**values[side]) for side in ("output", "input") if values.get(side)
        }
        return cls(**{"macs": 0, **values, **gates})


def needed_channels(policy: np.ndarray) -> np.ndarray:
    """Return which channels of a gated layer must be computed, bool (B, T, C).

    Channel i of frame t is needed if frame t keeps it or frame t+1 reuses it (paper, section 3.1).

    Args:
        policy: (B, T, C) of KEEP/REUSE/SKIP.
    """
    needed = policy == KEEP
    needed[:, :-1] |= policy[:, 1:] == REUSE
    return needed


class MacsCounter:
    """Counts multiply-accumulates under policies, for all layers at once.

    A gated layer needs (computed output channels) x (input channels that are not skipped) in each
    frame.  Engines ask after every run, so layers are not gone through one by one.

    Args:
        layers: the network's table.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        # The gates' channels stand in one row, and behind them one for what has no gate.
        begins = np.cumsum([0, *gate_widths(layers)])
        ungated = ChannelGate(len(begins) - 1, 0, 1)
        self._outputs = _ranges([layer.output or ungated for layer in layers], begins)
        self._inputs = _ranges([layer.input or ungated for layer in layers], begins)
        units = np.array([layer.macs for layer in layers], np.int64)
        for start, stop in (self._outputs, self._inputs):
            units //= stop - start
        self._units = units

    def per_layer(self, policies: Sequence[np.ndarray], frames: int) -> np.ndarray:
        """Return what every layer needs for every clip, int64 (B, layers).

        Args:
            policies: per gate (B, T, C); without any (a dense network) B is 1.
            frames: T.
        """
        actions = _row_of_gates(policies, frames)
        outputs = _count(needed_channels(actions), self._outputs)
        inputs = _count(actions != SKIP, self._inputs)
        table: np.ndarray = (outputs * inputs).sum(1) * self._units
        return table

    def per_clip(
        self, policies: Sequence[np.ndarray], frames: int, clips: int | None = None
    ) -> np.ndarray:
        """Return what each clip needs, int64 (B,); see :meth:`per_layer`.

        Args:
            policies, frames: as there.
            clips: B, which the policies of a dense network do not say.
        """
        return _for_all(self.per_layer(policies, frames).sum(1), clips)

    def next_frames(
        self,
        policies: Sequence[np.ndarray],
        previous: Sequence[np.ndarray],
        streams: int | None = None,
    ) -> np.ndarray:
        """Return what the next frame of each stream needs, int64 (B,).

        Those are the channels it keeps, and those of the previous frame that it reuses and that
        frame did not keep.  Over all frames of a stream it is :meth:`per_clip` of one clip of them.

        Args:
            policies: per gate (B, 1, C) of the frame.
            previous: those of the frame before; KEEP at a stream's beginning.
            streams: B, which the policies of a dense network do not say.
        """
        return _for_all(self._next_frames(policies, previous) @ self._units, streams)

    def next_frames_per_layer(
        self, policies: Sequence[np.ndarray], previous: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Return what every layer needs for the next frame of each stream, int64 (B, layers).

        Without any policies (a dense network) B is 1; see :meth:`next_frames`.
        """
        table: np.ndarray = self._next_frames(policies, previous) * self._units
        return table

    def _next_frames(
        self, policies: Sequence[np.ndarray], previous: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Return pairs of channels of each layer, (B, layers)."""
        now, before = (_row_of_gates(group, 1) for group in (policies, previous))
        late = (now == REUSE) & (before != KEEP)
        kept_work = _count(now == KEEP, self._outputs) * _count(now != SKIP, self._inputs)
        late_work = _count(late, self._outputs) * _count(before != SKIP, self._inputs)
        pairs: np.ndarray = (kept_work + late_work)[:, 0]
        return pairs


def _for_all(counts: np.ndarray, size: int | None) -> np.ndarray:
    """Repeat what a dense network needs for every clip."""
    return counts if size is None else np.broadcast_to(counts, size).copy()


_Ranges = tuple[np.ndarray, np.ndarray]


def _ranges(gates: Sequence[ChannelGate], begins: np.ndarray) -> _Ranges:
    """Return where the channels of each gate start and stop in the row of all gates."""
    first = np.array([begins[gate.gate] for gate in gates], np.int64)
    return (
        first + np.array([gate.start for gate in gates], np.int64),
        first + np.array([gate.stop for gate in gates], np.int64),
    )


def _row_of_gates(policies: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """Return the policies (B, T, C) side by side, and behind them a channel that is always kept."""
    clips = len(policies[0]) if len(policies) else 1
    return np.concatenate([*policies, np.full((clips, frames, 1), KEEP, np.uint8)], 2)


def _count(mask: np.ndarray, ranges: _Ranges) -> np.ndarray:
    """Return how many channels of ``mask`` (B, T, C) lie in each range, int64 (B, T, ranges)."""
    so_far = np.zeros((*mask.shape[:2], mask.shape[2] + 1), np.int64)
    np.cumsum(mask, 2, out=so_far[:, :, 1:])
    counts: np.ndarray = so_far[:, :, ranges[1]] - so_far[:, :, ranges[0]]
    return counts


def layer_macs(layers: Sequence[Layer], policies: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """Return what every layer needs for every clip; see :meth:`MacsCounter.per_layer`."""
    return MacsCounter(layers).per_layer(policies, frames)


def clip_macs(
    layers: Sequence[Layer],
    policies: Sequence[np.ndarray],
    frames: int,
    clips: int | None = None,
) -> np.ndarray:
    """Return what each clip needs; see :meth:`MacsCounter.per_clip`."""
    return MacsCounter(layers).per_clip(policies, frames, clips)


def gate_widths(layers: Sequence[Layer]) -> list[int]:
    """Return how many channels each gate decides over, in network order."""
    widths: dict[int, int] = {}
    for layer in layers:
        # Channels that a pooling passes through are outputs of no layer, but inputs of some.
        for gate in (layer.output, layer.input):
            if gate is not None:
                widths[gate.gate] = max(widths.get(gate.gate, 0), gate.stop)
    return [widths[gate] for gate in sorted(widths)]


def dense_macs(layers: Sequence[Layer], frames: int, *, policy_networks: bool = False) -> int:
    """Return the multiply-accumulates per clip when every channel is computed.

    Args:
        layers: the network's table.
        frames: T.
        policy_networks: count them too; without them this is the ungated network of the same
            backbone.
    """
    return frames * sum(layer.macs for layer in layers if policy_networks or not layer.policy)


def official_gflops(
    layers: Sequence[Layer],
    policies: Sequence[np.ndarray],
    *,
    upper_bound: bool = False,
    official_last_frame: bool = True,
) -> np.ndarray:
    """Return the GFLOPs per frame of each clip as the public AdaFuse code reports them, (B,).

    That report differs from :func:`clip_macs`: its base counts normalisation, pooling and biases,
    and linear layers twice; savings on the outputs and the inputs of one layer are added instead of
    multiplied; the second gate of a basic block is credited with the first convolution; and the
    last frame's savings come from the second to last frame's policy, a leftover loop variable.

    Args:
        layers: the network's table.
        policies: per gate (B, T, C).
        upper_bound: count only what the next layer saves on skipped inputs (``upb`` loss).
        official_last_frame: keep the leftover; False uses the last frame's own policy.
    """
    base = sum(
        layer.macs * (2 if layer.kind == "linear" else 1) + layer.bias_ops + layer.norm_ops
        for layer in layers
    )
    gflops = np.full(len(policies[0]) if len(policies) else 1, base / 1e9)
    spared = [_official_spared(policy, official_last_frame) for policy in policies]
    skipped = [(policy == SKIP).mean((1, 2)) for policy in policies]
    for layer in layers:
        cost = (layer.macs + layer.bias_ops) / 1e9
        if layer.input is not None:
            gflops = gflops - skipped[layer.input.gate] * cost
        if layer.output is not None and not upper_bound:
            gate = layer.output
            credited = _credited_cost(layers, layer) / 1e9
            gflops = (
                gflops - spared[gate.gate][:, :, gate.start : gate.stop].mean((1, 2)) * credited
            )
    return gflops


def _official_spared(policy: np.ndarray, official_last_frame: bool) -> np.ndarray:
    spared = ~needed_channels(policy)
    if official_last_frame and policy.shape[1] > 1:
        spared[:, -1] = policy[:, -2] != KEEP
    return spared


def _credited_cost(layers: Sequence[Layer], layer: Layer) -> int:
    """The public code credits a basic block's second gate with the block's first convolution."""
    if layer.name.endswith(".conv2") and layer.input is not None:
        block = layer.name.removesuffix("conv2")
        siblings = {other.name: other for other in layers if other.name.startswith(block)}
        if f"{block}conv3" not in siblings:
            layer = siblings[f"{block}conv1"]
    return layer.macs + layer.bias_ops
