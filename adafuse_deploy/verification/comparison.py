"""How far an engine's answers are from the reference's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from adafuse_deploy.prediction import Prediction
from adafuse_deploy.verification.reference import Expectation

TIE = 1e-5
"""A decision whose margin (:class:`Expectation`) is below this is a tie: float32 arithmetic in
another order may decide it otherwise, and from there the clip takes another course."""


@dataclass
class OutputError:
    """The largest difference in one output, and the size of that output."""

    largest: float = 0.0
    _squares: float = 0.0
    _count: int = 0

    def add(self, expected: np.ndarray, got: np.ndarray) -> None:
        """Take in a batch of values."""
        if expected.size:
            # np.maximum passes a NaN on; the built-in max might not.
            self.largest = float(np.maximum(self.largest, np.abs(got - expected).max()))
        self._squares += float(np.square(expected, dtype=np.float64).sum())
        self._count += expected.size

    @property
    def rms(self) -> float:
        """Root mean square of the expected values."""
        return (self._squares / self._count) ** 0.5 if self._count else 0.0

    @property
    def relative(self) -> float:
        """``largest`` in units of ``rms``."""
        return self.largest / self.rms if self.rms else self.largest


@dataclass
class Comparison:
    """Everything counted over the clips so far.

    A clip is *tied* when its first flips, those in the earliest gate that has any, are all ties.
    Its decisions count in ``decisions`` and ``flips``; logits and top-1 classes are compared on the
    other clips.

    Attributes:
        clips, tied: how many clips, and how many of them are tied.
        decisions, flips: how many decisions, and how many differ from the reference.
        untied_decisions, untied_flips: the same without the tied clips.
        first_flip_margin: of the clearest decision that flipped first in its clip; 0 without flips.
        first_flip_gate: that decision's gate.
        same_top1: untied clips with the reference's best class.
        labelled, top1, top5: labelled clips, and how many have the right class first, or among the
            first five.
        macs: multiply-accumulates of all clips.
        logits, frame_logits: errors of the two outputs on untied clips.
    """

    clips: int = 0
    tied: int = 0
    decisions: int = 0
    flips: int = 0
    untied_decisions: int = 0
    untied_flips: int = 0
    first_flip_margin: float = 0.0
    first_flip_gate: int | None = None
    same_top1: int = 0
    labelled: int = 0
    top1: int = 0
    top5: int = 0
    macs: int = 0
    logits: OutputError = field(default_factory=OutputError)
    frame_logits: OutputError = field(default_factory=OutputError)

    def add(self, expected: Expectation, got: Prediction, labels: np.ndarray | None) -> None:
        """Compare a batch.

        Args:
            expected: of the reference.
            got: of the engine.
            labels: int (B,), or None when they are unknown.
        """
        reference = expected.prediction
        flips = [a != b for a, b in zip(reference.policies, got.policies, strict=True)]
        margins, gates = _first_flips(flips, expected.margins, len(got.logits))
        untied = ~((margins > 0) & (margins < TIE))
        self.clips += len(untied)
        self.tied += int((~untied).sum())
        self.decisions += sum(flip.size for flip in flips)
        self.flips += sum(int(flip.sum()) for flip in flips)
        self.untied_decisions += sum(flip[untied].size for flip in flips)
        self.untied_flips += sum(int(flip[untied].sum()) for flip in flips)
        if len(margins) and margins.max() > self.first_flip_margin:
            self.first_flip_margin = float(margins.max())
            self.first_flip_gate = int(gates[margins.argmax()])
        self.same_top1 += int((reference.top(1) == got.top(1))[untied].sum())
        self.logits.add(reference.logits[untied], got.logits[untied])
        self.frame_logits.add(reference.frame_logits[untied], got.frame_logits[untied])
        self.macs += int(got.macs.sum())
        if labels is not None:
            hits = got.top(5) == labels[:, None]
            self.labelled += len(labels)
            self.top1 += int(hits[:, 0].sum())
            self.top5 += int(hits.sum())

    @property
    def policy_agreement(self) -> float:
        """Decisions equal to the reference's, in per cent."""
        return _percent(self.decisions - self.flips, self.decisions)

    @property
    def untied_agreement(self) -> float:
        """The same without the tied clips."""
        return _percent(self.untied_decisions - self.untied_flips, self.untied_decisions)

    @property
    def top1_agreement(self) -> float:
        """Untied clips with the reference's best class, in per cent."""
        return _percent(self.same_top1, self.clips - self.tied)

    @property
    def top1_accuracy(self) -> float | None:
        """Clips with the right class first, in per cent; None without labels."""
        return _percent(self.top1, self.labelled) if self.labelled else None

    @property
    def top5_accuracy(self) -> float | None:
        """Clips with the right class among the first five, in per cent; None without labels."""
        return _percent(self.top5, self.labelled) if self.labelled else None

    @property
    def gflops(self) -> float:
        """Billions of multiply-accumulates per clip, which the field calls GFLOPs."""
        return self.macs / self.clips / 1e9 if self.clips else 0.0


def _first_flips(
    flips: list[np.ndarray], margins: list[np.ndarray], clips: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return per clip the margin and the gate of the clearest decision among its first flips.

    Later gates see features that an earlier flip has already changed, so only the flips of the
    first gate that has any tell whether rounding can explain them.  Without flips the margin is 0.
    """
    first, gates = np.zeros(clips), np.zeros(clips, int)
    for gate, (flip, margin) in enumerate(zip(flips, margins, strict=True)):
        # A flip of a margin of exactly zero is a flip all the same.
        clearest = np.where(flip, np.maximum(margin, 1e-30), 0).max((1, 2), initial=0)
        new = (first == 0) & (clearest > 0)
        first[new], gates[new] = clearest[new], gate
    return first, gates


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0
