"""What an engine is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from adafuse_deploy.core.prediction import Prediction

TIE = 1e-5
"""A decision whose margin is below this is a tie: float32 arithmetic in another order may settle it
otherwise."""


@dataclass(frozen=True)
class Expectation:
    """What a reference answers for a batch.

    Attributes:
        prediction: its logits, and what each of its gates decides.
        margins: per gate (B, T, C): how clear each decision is, see :func:`margins`.
        features: per gate (B, T, F): what its policy network reads of each frame; none where the
            reference does not show it.
    """

    prediction: Prediction
    margins: list[np.ndarray]
    features: list[np.ndarray] = field(default_factory=list)

    def flips(self, got: Prediction) -> list[np.ndarray]:
        """Return per gate bool (B, T, C): where ``got`` decided otherwise."""
        return [a != b for a, b in zip(self.prediction.policies, got.policies, strict=True)]

    def __getitem__(self, clip: int) -> Expectation:
        """Return what was expected of one clip, with B = 1."""
        index = range(len(self.prediction))[clip]
        only = slice(index, index + 1)
        return Expectation(
            self.prediction[clip],
            [margin[only] for margin in self.margins],
            [feature[only] for feature in self.features],
        )

    def with_clips(self, clips: np.ndarray, others: Expectation) -> Expectation:
        """Return this with the clips where ``clips``, bool (B,), is true taken from ``others``."""

        def put(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            mine = mine.copy()
            mine[clips] = theirs
            return mine

        before, after = self.prediction, others.prediction
        pairs = zip(before.policies, after.policies, strict=True)
        prediction = replace(
            before,
            logits=put(before.logits, after.logits),
            frame_logits=put(before.frame_logits, after.frame_logits),
            policies=[put(*pair) for pair in pairs],
        )
        return Expectation(
            prediction,
            [put(*pair) for pair in zip(self.margins, others.margins, strict=True)],
            [put(*pair) for pair in zip(self.features, others.features, strict=True)],
        )


class Reference(Protocol):
    """A network that can be told its decisions."""

    def run(self, frames: np.ndarray) -> Expectation:
        """Run clips, float32 (B, T, 3, H, W), under the network's own decisions."""
        ...

    def follow(self, frames: np.ndarray, policies: Sequence[np.ndarray]) -> Expectation:
        """Run clips under given decisions.

        The result has what each gate would have decided by itself at that point, so that every
        decision can be compared without the consequences of those before it.

        Args:
            frames: float32 (B, T, 3, H, W).
            policies: per gate (B, T, C) of KEEP/REUSE/SKIP.
        """
        ...


def margins(logits: np.ndarray) -> np.ndarray:
    """Return how clear decisions are, float32 (B, T, C).

    A margin is by how much the chosen action's logit exceeds the next one, in units of the root
    mean square of the gate's logits in that clip.

    Args:
        logits: of one gate, float32 (B, T, C, A) over A actions.
    """
    best = np.partition(logits, -2, -1)
    rms = np.sqrt(np.mean(np.square(logits), (1, 2, 3), keepdims=True))
    margin: np.ndarray = ((best[..., -1:] - best[..., -2:-1]) / np.maximum(rms, 1e-30))[..., 0]
    return margin
