"""Prune a network by what it needs on videos, and check that it still is the same on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from adafuse_deploy.compare.pruned import PrunedComparison
from adafuse_deploy.compare.torch_reference import TorchReference
from adafuse_deploy.core.cost import dense_macs
from adafuse_deploy.core.errors import CheckFailed, InputError
from adafuse_deploy.core.progress import progress as show_progress
from adafuse_deploy.data.listed_clips import LabelledClip
from adafuse_deploy.models.pruning import ChannelUse, GatePruning, prune
from adafuse_deploy.models.recognizer import VideoRecognizer


@dataclass(frozen=True)
class Pruned:
    """A pruned network and how it came about.

    Attributes:
        model: the network.
        plan: gate -> what became of it.
        tolerance: share of the frames in which a channel could be needed and yet go.
        calibration, holdout: how it answers on the clips it was made from, and on others, if any.
        parameters, gmacs: of both networks: how many weights, and what all channels would cost per
            clip.
    """

    model: VideoRecognizer
    plan: dict[str, GatePruning]
    tolerance: float
    calibration: PrunedComparison
    holdout: PrunedComparison | None
    parameters: tuple[int, int]
    gmacs: tuple[float, float]

    @property
    def channels(self) -> tuple[int, int]:
        """Gated channels before and after."""
        left = [pruning.left for pruning in self.plan.values()]
        return sum(len(gate) for gate in left), sum(int(gate.sum()) for gate in left)

    @property
    def plain(self) -> list[str]:
        """Gates that became plain layers."""
        return [gate for gate, pruning in self.plan.items() if pruning.plain]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "tolerance": self.tolerance,
            "gates": [
                {
                    "name": gate,
                    "channels": len(pruning.left),
                    "left": int(pruning.left.sum()),
                    "plain": pruning.plain,
                }
                for gate, pruning in self.plan.items()
            ],
            **_before_and_after("channels", self.channels),
            **_before_and_after("parameters", self.parameters),
            **_before_and_after("dense_gmacs", self.gmacs),
            "calibration": self.calibration.to_dict(),
            "holdout": None if self.holdout is None else self.holdout.to_dict(),
        }

    def lines(self) -> Iterator[str]:
        """Yield the same for people."""
        for gate, pruning in self.plan.items():
            plain = ", always computed: a plain layer now" if pruning.plain else ""
            yield f"  {gate}: {int(pruning.left.sum())} of {len(pruning.left)} channels{plain}"
        before, after = self.channels
        yield (
            f"{after} of {before} gated channels are left, {len(self.plain)} of {len(self.plan)} "
            f"gates are plain layers; parameters {self.parameters[0]} -> {self.parameters[1]}, "
            f"GMACs of all channels {self.gmacs[0]:.4g} -> {self.gmacs[1]:.4g}."
        )
        yield f"Calibration, {self.calibration}."
        yield "Nothing was held out." if self.holdout is None else f"Held out, {self.holdout}."


def _before_and_after(name: str, values: tuple[float, float]) -> dict[str, float]:
    return {name: values[0], f"pruned_{name}": values[1]}


def prune_by_clips(
    model: VideoRecognizer,
    clips: Sequence[LabelledClip],
    holdout: Sequence[LabelledClip] = (),
    *,
    tolerance: float = 0.0,
    batch_size: int = 16,
    progress: bool = False,
) -> Pruned:
    """Take out the channels that no frame needs, and gates that always keep.

    Args:
        model: a ResNet with gates; it is not changed.
        clips: what the network is calibrated on.
        holdout: others, to see what it costs.
        tolerance: channels that are needed in at most this share of the frames go too.
        batch_size: clips that run together.
        progress: show how far it is on standard error.

    Raises:
        InputError: there are no clips, or the network is none that can be pruned.
        CheckFailed: without tolerance, the pruned network does not decide on ``clips`` as before.
    """
    if not len(clips):
        raise InputError("There are no clips to calibrate on; check the list.")
    model = model.eval()
    use = ChannelUse(model)

    def batches(of: Sequence[LabelledClip], doing: str) -> Iterator[list[LabelledClip]]:
        total = -(-len(of) // batch_size)
        parts = _batches((of[index] for index in range(len(of))), batch_size)
        yield from show_progress(parts, doing, show=progress, total=total, unit="batches")

    for batch in batches(clips, "calibrating"):
        use.add(np.stack([frames for frames, _ in batch]))
    plan = use.plan(tolerance)
    pruned = prune(model, plan)
    whole_reference, pruned_reference = TorchReference(model), TorchReference(pruned)
    left = {gate: pruning.left for gate, pruning in plan.items() if not pruning.plain}

    def compared(of: Sequence[LabelledClip], doing: str) -> PrunedComparison:
        seen = PrunedComparison(left, list(plan))
        for batch in batches(of, doing):
            frames, labels = zip(*batch, strict=True)
            stacked = np.stack(frames)
            seen.add(whole_reference.run(stacked), pruned_reference.run(stacked), labels)
        return seen

    calibration = compared(clips, "comparing")
    if not tolerance and (calibration.clear or not calibration.logits.relative <= _MOST_ERROR):
        raise CheckFailed(
            f"The pruned network does not answer as before on the clips it was made from "
            f"({calibration}), so nothing was written; please report this."
        )
    return Pruned(
        pruned,
        plan,
        tolerance,
        calibration,
        compared(holdout, "comparing what was held out") if len(holdout) else None,
        (_parameters(model), _parameters(pruned)),
        (_gmacs(model), _gmacs(pruned)),
    )


_MOST_ERROR = 1e-3
"""Of the logits, relative to their RMS: sums in another order."""


def _parameters(model: VideoRecognizer) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _gmacs(model: VideoRecognizer) -> float:
    return dense_macs(model.layers(), model.config.num_segments, policy_networks=True) / 1e9


def _batches(clips: Iterable[LabelledClip], size: int) -> Iterator[list[LabelledClip]]:
    remaining = iter(clips)
    while batch := list(islice(remaining, size)):
        yield batch
