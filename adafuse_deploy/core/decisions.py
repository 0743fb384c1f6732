"""What gates decided over the clips that were seen, and what that cost in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adafuse_deploy.core.actions import ACTION_NAMES
from adafuse_deploy.core.cost import Layer, MacsCounter, gate_widths


class DecisionCounts:
    """Shares of the actions, static channels and multiply-accumulates, batch after batch.

    A channel is *static* while it had the same action in every frame of every clip.

    Args:
        layers: the network's cost table.
        gates: the names of its gates in network order.

    Attributes:
        clips: how many were seen.
    """

    def __init__(self, layers: Sequence[Layer], gates: Sequence[str]) -> None:
        self._layers = list(layers)
        self._gates = [gate_title(gate) for gate in gates]
        self._counter = MacsCounter(layers)
        self._actions = np.zeros((len(gates), len(ACTION_NAMES)), np.int64)
        self._first: list[np.ndarray] | None = None
        self._static = [np.ones(width, bool) for width in gate_widths(layers)]
        self._macs = np.zeros(len(layers))
        self._frames = 0
        self.clips = 0

    def add(self, policies: Sequence[np.ndarray], frames: int, clips: int = 1) -> None:
        """Count a batch.

        Args:
            policies: per gate (B, T, C); none of a dense network.
            frames: T.
            clips: B, which the policies of a dense network do not say.
        """
        clips = len(policies[0]) if len(policies) else clips
        per_layer = self._counter.per_layer(policies, frames).sum(0)
        self._macs += per_layer if len(policies) else clips * per_layer
        if self._first is None:
            self._first = [policy[0, 0].copy() for policy in policies]
        for gate, policy in enumerate(policies):
            self._actions[gate] += np.bincount(policy.ravel(), minlength=len(ACTION_NAMES))
            self._static[gate] &= (policy == self._first[gate]).all((0, 1))
        self.clips += clips
        self._frames += clips * frames

    @property
    def gates(self) -> list[dict[str, Any]]:
        """Per gate: its name; the shares of skip, reuse and keep; how many channels it has, how
        many of them are static, and at which action.
        """
        found = []
        for index, name in enumerate(self._gates):
            shares = _shares(self._actions[index])
            static, action = self._static[index], self._first[index] if self._first else None
            held = {
                f"static_{word}": 0 if action is None else int((static & (action == number)).sum())
                for number, word in enumerate(ACTION_NAMES)
            }
            channels = {"channels": len(static), "static": sum(held.values())}
            found.append({"name": name, **shares, **channels, **held})
        return found

    @property
    def overall(self) -> dict[str, Any] | None:
        """Shares of all decisions, and how many channels there are and are static; None of a dense
        network.
        """
        if not self._gates:
            return None
        sums = {name: sum(gate[name] for gate in self.gates) for name in ("channels", "static")}
        return {"name": "all", **_shares(self._actions.sum(0)), **sums}

    @property
    def macs(self) -> float:
        """Multiply-accumulates per clip, in the mean."""
        return float(self._macs.sum()) / max(self.clips, 1)

    def layers(self, *, per_frame: bool = False) -> list[dict[str, Any]]:
        """Return per layer its name, whether it belongs to a policy network, and billions of
        multiply-accumulates per clip or frame: computed in full, what the policies left of them,
        and the share that they saved.
        """
        units = max(self._frames if per_frame else self.clips, 1)
        return [
            {
                "name": gate_title(layer.name),
                "policy_network": layer.policy,
                "dense_gmacs": layer.macs * self._frames / units / 1e9,
                "gmacs": float(macs) / units / 1e9,
                "saved": 1 - float(macs) / (layer.macs * self._frames) if layer.macs else None,
            }
            for layer, macs in zip(self._layers, self._macs, strict=True)
        ]

    def to_dict(self, *, per_frame: bool = False) -> dict[str, Any]:
        """Return all of it, plain values for JSON."""
        return {
            "overall": self.overall,
            "gates": self.gates,
            "layers": self.layers(per_frame=per_frame),
        }


def gate_title(name: str) -> str:
    """Return the name of a gate or layer without the prefix that all have."""
    return name.removeprefix("backbone.")


def policy_map(policies: Sequence[np.ndarray], clip: int = 0) -> dict[str, list[list[float]]]:
    """Return where a clip was computed: per action, per gate, per frame its share of the channels.

    Args:
        policies: per gate (B, T, C).
        clip: which of the B.
    """
    return {
        word: [
            [round(float(share), 4) for share in (policy[clip] == number).mean(1)]
            for policy in policies
        ]
        for number, word in enumerate(ACTION_NAMES)
    }


def _shares(counts: np.ndarray) -> dict[str, float]:
    """Return shares by name in the order of records that were written before: skip first."""
    total = max(int(counts.sum()), 1)
    return {word: float(counts[ACTION_NAMES.index(word)] / total) for word in _ORDER}


_ORDER = ("skip", "reuse", "keep")
