"""How far an engine's answers are from a reference's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from adafuse_deploy.compare.disagreement import WorstClips
from adafuse_deploy.compare.output_error import OutputError
from adafuse_deploy.compare.reference import TIE, Expectation, Reference
from adafuse_deploy.core.prediction import Prediction


@dataclass(frozen=True)
class Flip:
    """A decision that differs.

    Attributes:
        margin: of the reference's decision.
        gate: index in network order.
        clip: index among all clips that were compared.
        frame, channel: where in the gate's (T, C).
    """

    margin: float
    gate: int
    clip: int
    frame: int
    channel: int


@dataclass
class Comparison:
    """Everything counted over the clips so far.

    A decision that differs changes the features that later gates see.  So where the first flips of
    a clip, those in the earliest gate that has any, are all ties, the reference follows the engine:
    it runs that clip again under the engine's decisions, and everything is compared with what its
    gates and its classifier then say.  Flips that still are ties are excused.

    Attributes:
        follow_all: the reference follows wherever anything differs, not only ties.
        clips: how many clips.
        tied: how many of them have ties that were settled otherwise, and were compared under the
            engine's decisions.
        decisions: how many decisions.
        flips: how many differ where the reference and the engine each take their own course.
        ties: decisions excused as ties.
        unexcused: decisions that differ and are no ties.
        clearest: the unexcused flip of the largest margin; of clips that were not followed, among
            the first flips, because the others are their consequences.
        same_top1: clips with the reference's best class.
        labelled, top1, top5: labelled clips, and how many have the right class first, or among the
            first five.
        macs: multiply-accumulates of all clips.
        logits, frame_logits: errors of the two outputs.
        worst: the clips that differ most.
    """

    follow_all: bool = False
    clips: int = 0
    tied: int = 0
    decisions: int = 0
    flips: int = 0
    ties: int = 0
    unexcused: int = 0
    clearest: Flip | None = None
    same_top1: int = 0
    labelled: int = 0
    top1: int = 0
    top5: int = 0
    macs: int = 0
    logits: OutputError = field(default_factory=OutputError)
    frame_logits: OutputError = field(default_factory=OutputError)
    worst: WorstClips = field(default_factory=WorstClips)

    def add(
        self,
        reference: Reference,
        frames: np.ndarray,
        expected: Expectation,
        got: Prediction,
        labels: np.ndarray | None = None,
    ) -> None:
        """Compare a batch.

        Args:
            reference: what to compare with.
            frames: float32 (B, T, 3, H, W).
            expected: what the reference answered by itself.
            got: what the engine answered.
            labels: int (B,), or None when they are unknown.
        """
        flips = own_course = expected.flips(got)
        self.decisions += sum(flip.size for flip in flips)
        self.flips += _count(flips)
        first = _first_flips(flips, len(frames))
        followed = first < len(flips)
        if not self.follow_all:
            for clip in np.flatnonzero(followed):
                gate = first[clip]
                clear = ~(expected.margins[gate][clip] < TIE)
                followed[clip] = not (flips[gate][clip] & clear).any()
        if followed.any():
            policies = [policy[followed] for policy in got.policies]
            expected = expected.with_clips(followed, reference.follow(frames[followed], policies))
            flips = expected.flips(got)
        unexcused = self._judge(flips, expected.margins, followed, first)
        self.worst.add(self.clips, own_course, unexcused, expected.prediction, got)
        reference_top, top = expected.prediction.top(1), got.top(5)
        self.same_top1 += int((reference_top[:, 0] == top[:, 0]).sum())
        self.logits.add(expected.prediction.logits, got.logits)
        self.frame_logits.add(expected.prediction.frame_logits, got.frame_logits)
        self.macs += int(got.macs.sum())
        if labels is not None:
            hits = top == labels[:, None]
            self.labelled += len(labels)
            self.top1 += int(hits[:, 0].sum())
            self.top5 += int(hits.sum())
        self.clips += len(frames)

    def _judge(
        self,
        flips: list[np.ndarray],
        margins: list[np.ndarray],
        followed: np.ndarray,
        first: np.ndarray,
    ) -> np.ndarray:
        """Tell ties from other flips; return how many a clip has of those, int (B,)."""
        tied = np.zeros(len(followed), bool)
        others = np.zeros(len(followed), int)
        for gate, (flip, margin) in enumerate(zip(flips, margins, strict=True)):
            excused = flip & (margin < TIE) & followed[:, None, None]
            tied |= excused.any((1, 2))
            self.ties += int(excused.sum())
            flip = flip & ~excused
            others += flip.sum((1, 2))
            telling = flip & (followed | (first == gate))[:, None, None]
            if telling.any():
                # A margin of NaN is as wrong as can be.
                shown = np.where(telling, np.nan_to_num(margin, nan=np.inf), -1)
                clip, frame, channel = map(int, np.unravel_index(shown.argmax(), shown.shape))
                found = Flip(float(shown.max()), gate, self.clips + clip, frame, channel)
                if self.clearest is None or found.margin > self.clearest.margin:
                    self.clearest = found
        self.tied += int(tied.sum())
        self.unexcused += int(others.sum())
        return others

    @property
    def policy_agreement(self) -> float:
        """Decisions equal where each takes its own course, in per cent; NaN without clips."""
        return self._percent(self.decisions - self.flips, self.decisions)

    @property
    def excused_agreement(self) -> float:
        """Decisions that are equal or ties, in per cent; NaN without clips."""
        return self._percent(self.decisions - self.unexcused, self.decisions)

    @property
    def top1_agreement(self) -> float:
        """Clips with the reference's best class, in per cent; NaN without clips."""
        return self._percent(self.same_top1, self.clips)

    @property
    def top1_accuracy(self) -> float | None:
        """Clips with the right class first, in per cent; None without labels."""
        return self._percent(self.top1, self.labelled) if self.labelled else None

    @property
    def top5_accuracy(self) -> float | None:
        """Clips with the right class among the first five, in per cent; None without labels."""
        return self._percent(self.top5, self.labelled) if self.labelled else None

    @property
    def gmacs(self) -> float:
        """Billions of multiply-accumulates per clip, which papers call GFLOPs."""
        return self.macs / self.clips / 1e9 if self.clips else 0.0

    def _percent(self, part: int, whole: int) -> float:
        if not self.clips:
            return float("nan")
        return 100 * part / whole if whole else 100.0


def _count(flips: list[np.ndarray]) -> int:
    return sum(int(flip.sum()) for flip in flips)


def _first_flips(flips: list[np.ndarray], clips: int) -> np.ndarray:
    """Return per clip the first gate that has flips, or the number of gates."""
    # A row more, which is true: behind the last gate at the latest.
    some = np.array([*(flip.any((1, 2)) for flip in flips), np.ones(clips, bool)])
    first: np.ndarray = some.argmax(0)
    return first
