"""Multiply-accumulates of a clip under its policies, from a table of layers.  numpy only.

The table travels in the metadata of every exported graph, so the same figure comes out of PyTorch,
of a graph's policy outputs and of an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adafuse_deploy.prediction import KEEP, REUSE, SKIP


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


def layer_macs(layers: Sequence[Layer], policies: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """Return the multiply-accumulates that every layer needs for every clip, int64 (B, layers).

    A gated layer needs (computed output channels) x (input channels that are not skipped) in each
    frame.  Without policies (a dense network) the result has B = 1.

    Args:
        layers: the network's table.
        policies: per gate (B, T, C); empty for a dense network.
        frames: T.
    """
    clips = len(policies[0]) if len(policies) else 1
    table = np.zeros((clips, len(layers)), np.int64)
    outputs = [needed_channels(policy) for policy in policies]
    inputs = [policy != SKIP for policy in policies]
    for column, layer in enumerate(layers):
        unit, count = layer.macs, np.ones((clips, frames), np.int64)
        for gate, masks in ((layer.output, outputs), (layer.input, inputs)):
            if gate is not None:
                unit //= gate.stop - gate.start
                count = count * masks[gate.gate][:, :, gate.start : gate.stop].sum(-1)
        table[:, column] = unit * count.sum(1)
    return table


def clip_macs(layers: Sequence[Layer], policies: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """Return the multiply-accumulates each clip needs, int64 (B,); see :func:`layer_macs`."""
    return layer_macs(layers, policies, frames).sum(1)


class StreamMacs:
    """Counts what the next frame of each stream needs.

    Those are the channels it keeps, and those of the previous frame that it reuses and that frame
    did not keep.  Over all frames of a stream it is :func:`clip_macs` of one clip of them.  It is
    asked in every frame, so layers are not gone through one by one.

    Args:
        layers: the network's table.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        # What no gate spares is added up once; gates of a layer are places in a row of all gates.
        gated = [layer for layer in layers if layer.output or layer.input]
        others = [layer for layer in layers if not (layer.output or layer.input)]
        self._constant = int(clip_macs(others, [], 1)[0])
        begins = np.cumsum([0, *gate_widths(layers)])
        ungated = ChannelGate(len(begins) - 1, 0, 1)  # a channel behind all gates, always kept

        def places(gates: Sequence[ChannelGate | None]) -> tuple[np.ndarray, np.ndarray]:
            known = [gate or ungated for gate in gates]
            first = np.array([begins[gate.gate] for gate in known], np.int64)
            offsets = np.array([(gate.start, gate.stop) for gate in known], np.int64).reshape(-1, 2)
            return first + offsets[:, 0], first + offsets[:, 1]

        self._outputs = places([layer.output for layer in gated])
        self._inputs = places([layer.input for layer in gated])
        sizes = [stop - start for start, stop in (self._outputs, self._inputs)]
        whole = np.array([layer.macs for layer in gated], np.int64)
        self._units = whole // sizes[0] // sizes[1]

    def count(self, policies: Sequence[np.ndarray], previous: Sequence[np.ndarray]) -> np.ndarray:
        """Return the multiply-accumulates of a frame, int64 (B,).

        Args:
            policies: per gate (B, 1, C) of the frame; without any (a dense network) B is 1.
            previous: those of the frame before; KEEP at a stream's beginning.
        """
        if not policies:
            return np.array([self._constant])
        now, before = (np.concatenate([*group], 2)[:, 0] for group in (policies, previous))
        kept = _sums(now == KEEP, self._outputs)
        late = _sums((now == REUSE) & (before != KEEP), self._outputs, ungated=0)
        reads, read_before = (_sums(policy != SKIP, self._inputs) for policy in (now, before))
        counts: np.ndarray = kept * reads + late * read_before
        return self._constant + counts @ self._units


def _sums(
    mask: np.ndarray, places: tuple[np.ndarray, np.ndarray], *, ungated: int = 1
) -> np.ndarray:
    """Return how many channels of ``mask`` (B, C) lie in each range, (B, ranges).

    ``ungated`` is what the one channel behind the others counts.
    """
    counted = np.zeros((len(mask), mask.shape[1] + 2), np.int64)
    np.cumsum(mask, 1, out=counted[:, 1:-1])
    counted[:, -1] = counted[:, -2] + ungated
    sums: np.ndarray = counted[:, places[1]] - counted[:, places[0]]
    return sums


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
