"""Whether a graph or engine that was just made still is the network that it was made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adafuse_deploy.compare.comparison import Comparison
from adafuse_deploy.compare.reference import TIE, Expectation, Reference
from adafuse_deploy.core.errors import NotFiniteError
from adafuse_deploy.engines.engine import Engine

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What a check allows under equal decisions.

    Attributes:
        logits, frame_logits: largest difference, relative to their RMS.
        agreement: least share of decisions that are equal or ties.
    """

    logits: float
    frame_logits: float
    agreement: float


LIMITS = {
    "fp32": Limits(1e-4, 1e-4, 1.0),
    "bf16": Limits(0.1, math.inf, 0.9),
    "int8": Limits(0.1, math.inf, 0.9),
}
"""By precision.  Random weights on noise decide more closely than trained ones on videos, so those
of bf16 and int8 are loose; 'verify' measures on videos."""


class Check:
    """Compares forms of one network on one clip of noise.

    Args:
        reference: what they were made from.
        clip_shape: (T, 3, H, W).
        gates: names of the gates.
    """

    def __init__(
        self, reference: Reference, clip_shape: Sequence[int], gates: Sequence[str]
    ) -> None:
        self._reference, self._gates = reference, gates
        self._clip = np.random.default_rng(0).standard_normal((1, *clip_shape), np.float32)
        self._expected: Expectation = reference.run(self._clip)

    def difference(self, engine: Engine, precision: str, notify: Notify) -> str:
        """Return in words how ``engine`` differs beyond :data:`LIMITS`, or "" if it does not.

        The engine runs as it is; where it decides otherwise than the reference, the reference
        follows its decisions, and the rest is compared under these.

        Args:
            engine: what was made.
            precision: whose limits apply.
            notify: is told of ties in one sentence.
        """
        try:
            got = engine.run(self._clip)
        except NotFiniteError:
            return "its logits are NaN or infinite"
        seen = Comparison(follow_all=True)
        seen.add(self._reference, self._clip, self._expected, got)
        limits = LIMITS[precision]
        problems = []
        if not seen.unexcused <= (1 - limits.agreement) * seen.decisions:
            problems.append(flips_in_words(seen, self._gates))
        for name, error, most in (
            ("logits", seen.logits.relative, limits.logits),
            ("frame logits", seen.frame_logits.relative, limits.frame_logits),
        ):
            if not error <= most:  # as NaN is not
                problems.append(f"{name} differ by {error:.1e} of their RMS ({most:.0e} allowed)")
        if seen.ties and not problems and precision == "fp32":
            notify(
                f"{engine.name} settled {seen.ties} of {seen.decisions} decisions otherwise that "
                f"are ties in float32 (margin below {TIE:.0e} of the gate's logits); everything "
                "else was compared under its decisions."
            )
        return "; ".join(problems)


def flips_in_words(seen: Comparison, gates: Sequence[str]) -> str:
    """Say how many decisions differ, and name the clearest of them."""
    flip = seen.clearest
    assert flip is not None
    return (
        f"{seen.unexcused} of {seen.decisions} decisions differ, the clearest in gate "
        f"{gates[flip.gate]}, channel {flip.channel} of frame {flip.frame}, by a margin of "
        f"{flip.margin:.1e} where a tie has less than {TIE:.0e}"
    )
