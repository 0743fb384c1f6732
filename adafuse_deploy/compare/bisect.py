"""Where an engine leaves the reference: a binary search over the gates, by forcing decisions.

A gate that skips all its channels takes its convolutions out of the network: what is left of a
residual block is its shortcut.  So under decisions of which the first k gates' are the reference's
and all later ones skip, logits say whether something in the first k gated blocks is wrong, and
nothing about those behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adafuse_deploy.compare.check import LIMITS, Limits
from adafuse_deploy.compare.output_error import relative_error
from adafuse_deploy.compare.reference import TIE, Reference
from adafuse_deploy.core.actions import SKIP
from adafuse_deploy.core.errors import NotFiniteError
from adafuse_deploy.engines.engine import Forced

Run = Callable[[Sequence[np.ndarray]], Forced]
"""Runs the clip under decisions, per gate (1, T, C); raises :class:`NotFiniteError` for NaN."""


@dataclass(frozen=True)
class Departure:
    """Where an engine leaves the reference.

    Attributes:
        kind: "none": under the reference's decisions the engine answers as it does;
            "policy": the policy network of ``gate``, while all activations agree;
            "block": the convolutions whose channels ``gate`` decides over;
            "before": what runs whatever is decided (stem, shortcuts, biases), in front of ``gate``,
            the first that reads other features or decides otherwise;
            "after": the same where no gate does, so behind the last one.
        gate: index in network order; None for "none" and "after".
        name: of that gate, or "".
        runs: how often the engine ran.
    """

    kind: str
    gate: int | None
    name: str
    runs: int

    def __str__(self) -> str:
        where = {
            "none": "under the reference's decisions it answers as the reference: what failed are "
            "ties, or runs that differ from each other",
            "policy": f"the policy network of gate {self.name}; all convolutions agree",
            "block": f"the convolutions under gate {self.name}; everything before them agrees",
            "before": f"in front of gate {self.name}, the first to see or decide otherwise, in "
            "what no gate can skip (stem, shortcuts, biases)",
            "after": "behind the last gate: none of them sees or decides otherwise",
        }
        return f"{where[self.kind]} ({self.runs} runs)"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def most_runs(gates: int) -> int:
    """Return how often :func:`bisect` runs an engine at most."""
    return 2 + math.ceil(math.log2(gates)) if gates else 1


def bisect(
    reference: Reference,
    run: Run,
    clip: np.ndarray,
    gates: Sequence[str],
    precision: str = "fp32",
    *,
    shortcuts: bool = True,
) -> Departure:
    """Find where an engine leaves the reference on a clip, in at most :func:`most_runs` runs.

    What counts as leaving is :data:`~adafuse_deploy.compare.check.LIMITS` under equal decisions.

    Args:
        reference: the network, which can be told its decisions.
        run: the engine, likewise.
        clip: float32 (1, T, 3, H, W) on which they differ.
        gates: the names of the gates in network order.
        precision: of the engine, for the limits.
        shortcuts: whether every gated convolution has a way around it, as in ResNets; where there
            is none, logits tell nothing under skips, and the gates' own decisions must do.
    """
    own = reference.run(clip).prediction.policies
    search = _Search(reference, run, clip, own, LIMITS[precision])
    last = len(gates)
    if search.agrees(last):
        return search.departure(
            "none" if search.first is None else search.kind, search.first, gates
        )
    good, bad = 0, last
    if not (shortcuts and last and search.agrees(0)):
        kind = "after" if search.first is None else search.kind
        return search.departure(kind, search.first, gates)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if search.agrees(middle) else (good, middle)
    if search.first is not None and search.first <= good:
        return search.departure(search.kind, search.first, gates)
    return search.departure("block", good, gates)


class _Search:
    """Runs of both under equal decisions.

    Attributes:
        runs: of the engine.
        first: the first gate that read other features or decided otherwise in any of them.
        kind: what that says, "policy" if it read the same features.
    """

    def __init__(
        self,
        reference: Reference,
        run: Run,
        clip: np.ndarray,
        own: list[np.ndarray],
        limits: Limits,
    ) -> None:
        self._reference, self._run, self._clip = reference, run, clip
        self._own, self._limits = own, limits
        self.runs = 0
        self.first: int | None = None
        self.kind = "before"

    def agrees(self, active: int) -> bool:
        """Return whether logits agree where all gates but the first ``active`` skip everything."""
        decisions = [
            policy if gate < active else np.full_like(policy, SKIP)
            for gate, policy in enumerate(self._own)
        ]
        expected = self._reference.follow(self._clip, decisions)
        self.runs += 1
        try:
            got, features = self._run(decisions)
        except NotFiniteError:
            return False
        known = len(features) == len(expected.features) > 0
        flips = zip(expected.flips(got), expected.margins, strict=True)
        for gate, (flip, margin) in enumerate(flips):
            if self.first is not None and gate >= self.first:
                break
            read = relative_error(expected.features[gate], features[gate]) if known else 0.0
            same = read <= self._limits.logits  # as NaN is not
            if not same or self._decides_otherwise(flip, margin):
                self.first, self.kind = gate, "policy" if same and known else "before"
        error = relative_error(expected.prediction.logits, got.logits)
        return error <= self._limits.logits  # as NaN is not

    def _decides_otherwise(self, flips: np.ndarray, margins: np.ndarray) -> bool:
        clear = flips & ~(margins < TIE)
        return bool(clear.sum() > (1 - self._limits.agreement) * clear.size)

    def departure(self, kind: str, gate: int | None, gates: Sequence[str]) -> Departure:
        """Return what was found, with how often the engine ran."""
        return Departure(kind, gate, "" if gate is None else gates[gate], self.runs)
