"""The clips on which an engine is farthest from its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adafuse_deploy.core.prediction import Prediction

KEPT = 3
"""How many clips of each engine are remembered."""


@dataclass(frozen=True)
class Disagreement:
    """One clip that was decided or answered otherwise.

    Attributes:
        clip: index among all clips that were compared.
        flips: decisions that differ where each takes its own course.
        unexcused: decisions that differ under the engine's decisions and are no ties.
        logits_error: largest difference of the logits, relative to the clip's RMS.
        expected, answer: best class of the reference and of the engine.
        expected_probability, probability: of those.
        differing: per gate, per frame the share of channels that are flips.
    """

    clip: int
    flips: int
    unexcused: int
    logits_error: float
    expected: int
    expected_probability: float
    answer: int
    probability: float
    differing: tuple[tuple[float, ...], ...]

    @property
    def _weight(self) -> tuple[int, bool, int, float]:
        error = float(np.nan_to_num(self.logits_error, nan=np.inf))
        return self.unexcused, self.answer != self.expected, self.flips, error


@dataclass
class WorstClips:
    """The worst clips so far, the worst first; those without a difference are not kept."""

    clips: list[Disagreement] = field(default_factory=list)

    def add(
        self,
        first: int,
        flips: Sequence[np.ndarray],
        unexcused: np.ndarray,
        expected: Prediction,
        got: Prediction,
    ) -> None:
        """Look at a batch.

        Args:
            first: index of its first clip.
            flips: per gate bool (B, T, C), where each takes its own course.
            unexcused: int (B,).
            expected: what the reference says, under the engine's decisions where it followed them.
            got: what the engine says.
        """
        best, answers = expected.top(1)[:, 0], got.top(1)[:, 0]
        counts = np.sum([flip.sum((1, 2)) for flip in flips], 0) + np.zeros(len(got), int)
        for index in np.flatnonzero((counts > 0) | (unexcused > 0) | (best != answers)):
            difference = np.abs(got.logits[index] - expected.logits[index]).max()
            rms = float(np.sqrt(np.mean(np.square(expected.logits[index], dtype=np.float64))))
            self.clips.append(
                Disagreement(
                    first + int(index),
                    int(counts[index]),
                    int(unexcused[index]),
                    float(difference) / rms if rms else float(difference),
                    int(best[index]),
                    float(expected.probabilities[index, best[index]]),
                    int(answers[index]),
                    float(got.probabilities[index, answers[index]]),
                    tuple(tuple(flip[index].mean(1).tolist()) for flip in flips),
                )
            )
        self.clips.sort(key=lambda found: found._weight, reverse=True)
        del self.clips[KEPT:]
