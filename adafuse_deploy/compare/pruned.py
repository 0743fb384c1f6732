"""How a pruned network answers beside the one that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adafuse_deploy.compare.output_error import OutputError
from adafuse_deploy.compare.reference import TIE, Expectation


@dataclass
class PrunedComparison:
    """Everything counted over the clips so far.

    Attributes:
        left: gate that is still one -> bool (C,): which channels of the whole network's it has.
        gates: names of the whole network's gates in network order.
        clips: how many.
        decisions, same: how many the pruned network's gates made, and how many of them were equal
            to the whole network's.
        clear: those that were not and are no ties, in the first gate of their clip that has any;
            later ones are their consequences.
        same_top1: clips with the same best class.
        labelled, top1, pruned_top1: labelled clips, and how many each network recognised.
        macs, pruned_macs: multiply-accumulates of all clips.
        logits: error of the pruned network's.
    """

    left: Mapping[str, np.ndarray]
    gates: Sequence[str]
    clips: int = 0
    decisions: int = 0
    same: int = 0
    clear: int = 0
    same_top1: int = 0
    labelled: int = 0
    top1: int = 0
    pruned_top1: int = 0
    macs: int = 0
    pruned_macs: int = 0
    logits: OutputError = field(default_factory=OutputError)

    def add(self, whole: Expectation, pruned: Expectation, labels: Sequence[int | None]) -> None:
        """Compare a batch.

        Args:
            whole, pruned: what both networks answer by themselves.
            labels: the clips' classes, None where one is unknown.
        """
        before, after = whole.prediction, pruned.prediction
        policies = [
            policy[:, :, self.left[gate]]
            for gate, policy in zip(self.gates, before.policies, strict=True)
            if gate in self.left
        ]
        settled = np.zeros(len(before), bool)
        for mine, theirs, margin in zip(policies, after.policies, pruned.margins, strict=True):
            flips = mine != theirs
            self.decisions += flips.size
            self.same += int((~flips).sum())
            self.clear += int((flips & ~(margin < TIE))[~settled].sum())
            settled |= flips.any((1, 2))
        top, pruned_top = before.top(1)[:, 0], after.top(1)[:, 0]
        self.same_top1 += int((top == pruned_top).sum())
        for label, mine, theirs in zip(labels, top, pruned_top, strict=True):
            if label is not None:
                self.labelled += 1
                self.top1 += int(mine == label)
                self.pruned_top1 += int(theirs == label)
        self.macs += int(before.macs.sum())
        self.pruned_macs += int(after.macs.sum())
        self.logits.add(before.logits, after.logits)
        self.clips += len(before)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; shares in per cent."""

        def share(part: int, whole: int) -> float | None:
            return 100 * part / whole if whole else None

        return {
            "clips": self.clips,
            "decisions": self.decisions,
            "policy_agreement": share(self.same, self.decisions),
            "clear_flips": self.clear,
            "logits_relative_error": self.logits.relative,
            "top1_agreement": share(self.same_top1, self.clips),
            "top1_accuracy": share(self.top1, self.labelled),
            "pruned_top1_accuracy": share(self.pruned_top1, self.labelled),
            "gmacs": self.macs / self.clips / 1e9,
            "pruned_gmacs": self.pruned_macs / self.clips / 1e9,
        }

    def __str__(self) -> str:
        found = self.to_dict()
        decisions = (
            f"{_percent(found['policy_agreement'])} of the remaining decisions"
            if self.decisions
            else "no decisions are left"
        )
        accuracy = ""
        if self.labelled:
            accuracy = (
                f", top-1 {found['top1_accuracy']:.2f} -> {found['pruned_top1_accuracy']:.2f} %"
            )
        return (
            f"{self.clips} clips: {decisions} and {_percent(found['top1_agreement'])} of the best "
            f"classes are the same, logits differ by {found['logits_relative_error']:.1e} of their "
            f"RMS{accuracy}, GMACs {found['gmacs']:.4g} -> {found['pruned_gmacs']:.4g}"
        )


def _percent(share: float) -> str:
    """Write a share so that only a whole one reads as 100 %."""
    return "100 %" if share == 100 else f"{min(share, 99.9999):.6g} %"
